#!/bin/sh
# Install the Debian or Ubuntu packages that the tests need. Harmless to run again; does nothing
# when they are all there.
#
#   docker-registry   the registry that pulls and pushes are tested against
#   tmux              the terminal that the interface is driven in
set -eu

packages="docker-registry tmux"

missing=""
for package in $packages; do
    # A program by the package's name is as good as the package.
    command -v "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "system-packages: there is no apt-get here; please install:$missing" >&2
    exit 1
fi

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "system-packages: please run as root: apt-get install$missing" >&2
        exit 1
    fi
    as_root="sudo"
fi

# The registry is a program for the tests, not a service of this machine: policy-rc.d forbids the
# package to start it (see invoke-rc.d(8)), and it is disabled so that the next boot does not either.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi

echo "system-packages: installing$missing" >&2
install="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300"
# The lists may be fresh, old or absent; they are fetched only when they do not do.
# shellcheck disable=SC2086
if ! $install install --yes --no-install-recommends $missing >/dev/null 2>&1; then
    $install update >/dev/null
    $install install --yes --no-install-recommends $missing >/dev/null
fi

case "$missing" in
*docker-registry*)
    if command -v systemctl >/dev/null 2>&1; then
        $as_root systemctl disable docker-registry.service >/dev/null 2>&1 ||
            echo "system-packages: could not disable docker-registry.service" >&2
    fi
    ;;
esac
