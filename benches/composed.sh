#!/usr/bin/env bash
# What a careful person would script with docker-compose to grade the benchmark's stack: up, ten
# assertions from inside, down. The counterpart that a grading is compared with. Prints how many
# milliseconds passed until the last assertion held; what follows is `down`.
# Usage: composed.sh FOLDER PROJECT COMPOSE…
set -euo pipefail
cd "$1"
project=$2
shift 2
began=$(date +%s%N)

call=("$@" --project-name "$project")
down() { "${call[@]}" down --volumes --timeout 0 >/dev/null 2>&1; }
trap down EXIT

"${call[@]}" up --detach --build --wait >/dev/null 2>&1
id() { "${call[@]}" ps --quiet "$1"; }
web=$(id web) api=$(id api) db=$(id db)
body() { docker exec "$1" wget -q -T 2 -O - "$2"; }

[ "$(docker inspect --format '{{.State.Health.Status}}' "$web" "$api" "$db" | sort -u)" = healthy ]
body "$web" http://127.0.0.1:8080/ | grep -q ready
body "$api" http://127.0.0.1:8081/about.txt | grep -q 'The api'
body "$db" http://127.0.0.1:8082/rows | grep -q 42
body "$web" http://api:8081/about.txt >/dev/null
body "$api" http://db:8082/rows >/dev/null
address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$db")
if docker exec "$web" nc -w 1 "$address" 8082 </dev/null 2>/dev/null; then exit 1; fi
docker exec "$web" cat /proc/1/environ | tr '\0' '\n' | grep -qx 'GREETING=hello-bench'
[ "$(docker exec "$web" id -u)" = 1000 ]
docker inspect --format '{{range .Mounts}}{{.Type}} {{.Destination}}{{end}}' "$db" | grep -qx 'volume /data'
echo $((($(date +%s%N) - began) / 1000000))
