// Command helm is Helm's own loader, schema check, template engine and linter, without all that it
// talks to clusters and registries with, which would take longer to build than the tests have.
//
//	helm template NAME CHART NAMESPACE VALUES    VALUES is a file, of JSON or YAML
//	helm lint CHART
package main

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

func main() {
	args := os.Args[1:]
	var err error
	switch {
	case len(args) == 5 && args[0] == "template":
		err = template(args[1], args[2], args[3], args[4])
	case len(args) == 2 && args[0] == "lint":
		err = check(args[1])
	default:
		err = fmt.Errorf("usage: helm template NAME CHART NAMESPACE VALUES | lint CHART")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func template(name, folder, namespace, file string) error {
	chart, err := loader.Load(folder)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	given := map[string]any{}
	if err := yaml.Unmarshal(text, &given); err != nil {
		return err
	}
	release := common.ReleaseOptions{Name: name, Namespace: namespace, Revision: 1, IsInstall: true}
	values, err := util.ToRenderValues(chart, given, release, common.DefaultCapabilities)
	if err != nil {
		return err
	}
	rendered, err := engine.Render(chart, values)
	if err != nil {
		return err
	}
	files := make([]string, 0, len(rendered))
	for file := range rendered {
		if path.Ext(file) != ".txt" && !strings.HasPrefix(path.Base(file), "_") {
			files = append(files, file)
		}
	}
	slices.Sort(files)
	for _, file := range files {
		fmt.Printf("---\n# Source: %s\n%s\n", file, rendered[file])
	}
	return nil
}

func check(folder string) error {
	found := lint.RunAll(folder, map[string]any{}, "registrar")
	for _, message := range found.Messages {
		fmt.Println(message)
	}
	if found.HighestSeverity >= support.WarningSev {
		return fmt.Errorf("%s does not pass", folder)
	}
	return nil
}
