"""Makes the list of what is in registrar, in CycloneDX: `python -m release.sbom FILE`.

It is made of the lock file: each package is there with its version and the hashes that it may have.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from release.locks import LOCK, ROOT
from release.version import version


def make_sbom(file: Path, of: str) -> None:
    """Write the list for a version of registrar."""
    argv = (
        *(sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements"),
        *("--output-reproducible", "--pyproject", ROOT / "pyproject.toml", LOCK),
    )
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    bom: dict[str, Any] = json.loads(done.stdout)
    bom["metadata"]["component"]["version"] = of  # pyproject.toml leaves it to the tag
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bom, indent=1))


if __name__ == "__main__":
    make_sbom(Path(sys.argv[1]), version())
