#!/bin/sh
# Makes sure of system parts. Arguments: COMMAND:PACKAGE or file:PATH:PACKAGE, for what must be there.
# What is missing is installed where that is possible (root on Debian), else named; never upgrades.
set -u
missing=
for part in "$@"; do
  case $part in
    file:*) rest=${part#file:}; [ -e "${rest%:*}" ] && continue ;;
    *) command -v "${part%%:*}" > /dev/null 2>&1 && continue ;;
  esac
  package=${part##*:}
  case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null 2>&1; then
  echo "system parts are missing; as root: apt-get install$missing" >&2
  exit 1
fi
echo "installing system parts:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# No service of a package is to begin on this machine: whoever needs one starts it where it belongs.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy"
fi
# shellcheck disable=SC2086  # a list of packages
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } > /dev/null ||
  { echo "that failed; as root, see: apt-get install$missing" >&2; exit 1; }
