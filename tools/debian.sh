# Read by the other scripts: installs the Debian packages that are missing, and nothing when none is.

# need_debian PACKAGE…
need_debian() {
  local missing=() package sudo=()
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    echo "$(basename "$0"): not a Debian system; install what these packages hold: ${missing[*]}" >&2
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "$(basename "$0"): not root and no sudo; as root, run: apt-get install ${missing[*]}" >&2
      return 1
    }
    sudo=(sudo)
  fi
  echo "installing Debian packages: ${missing[*]}" >&2
  { "${sudo[@]}" apt-get update -q &&
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"; } \
    >&2 </dev/null || {
    echo "$(basename "$0"): could not install ${missing[*]}; is the network there?" >&2
    return 1
  }
}

need_swift() {
  command -v swift >/dev/null && return 0
  echo "$(basename "$0"): no swift on PATH; install Swift 6.3 or later from swift.org/install" >&2
  return 1
}
