#!/usr/bin/env bash
# What a careful person would script with plain docker to grade the benchmark's exercise: build,
# run, ten assertions from inside, remove. The counterpart that a grading is compared with.
# Usage: plain.sh FOLDER DOCKERFILE IMAGE
set -euo pipefail
folder=$1 dockerfile=$2 image=$3

docker build --quiet --network none --memory 256m --file "$folder/$dockerfile" --tag "$image" "$folder" >/dev/null
container=$(docker run --detach --memory 256m --pids-limit 128 --cap-drop ALL --network none \
  --env GREETING=hello-bench "$image")
remove() { docker rm --force "$container" >/dev/null; }
trap remove EXIT

inside() { docker exec "$container" "$@"; }
until inside wget -q -O /dev/null http://127.0.0.1:8080/ 2>/dev/null; do sleep 0.02; done

[ "$(inside wget -q -O - http://127.0.0.1:8080/)" = ready ]
inside netstat -ltn | grep -q ':8080 '
inside cat /proc/1/environ | tr '\0' '\n' | grep -qx 'GREETING=hello-bench'
inside cat /proc/1/cmdline | tr '\0' ' ' | grep -q '^httpd '
if inside wget -q -O /dev/null http://127.0.0.1:8080/missing 2>/dev/null; then exit 1; fi
if [ "$dockerfile" = Dockerfile ]; then
  inside wget -q -O - http://127.0.0.1:8080/about.txt | grep -q 'Served by httpd'
  inside wget -q -O - http://127.0.0.1:8080/data.json | grep -q '"answer": *42'
  [ "$(inside id -u)" = 1000 ]
  [ "$(inside stat -c %a /srv/www/about.txt)" = 644 ]
  [ "$(docker inspect --format '{{.Config.WorkingDir}}' "$container")" = /srv/www ]
else
  inside wget -q -O - http://127.0.0.1:8080/nonce.sum | grep -q nonce.txt
  inside test -s /srv/nonce.txt
  [ "$(inside id -u)" = 0 ]
  [ "$(inside stat -c %a /srv/www/index.html)" = 644 ]
  [ "$(docker inspect --format '{{.Config.Image}}' "$container")" = "$image" ]
fi
