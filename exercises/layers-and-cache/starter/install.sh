#!/bin/sh
# Installs the packages that a list names, as pip or npm would do it, only without a network.
# usage: install.sh LIST
set -eu
mkdir -p /usr/local/lib
while read -r package; do
    [ -n "$package" ] || continue
    echo "installing $package"
    cp "packages/$package.sh" "/usr/local/lib/${package%-*}.sh"
done < "$1"
