# What the benches share: a folder, the load generator, servers and their ends. Source it from the
# project's root with the bench's name in $0.
gusher=$PWD/build/gusher
folder=$(mktemp -d)
processes=()

finish() {
    for process in "${processes[@]}"; do
        kill "$process" 2>/dev/null || true
    done
    wait
    rm -rf "$folder"
}
trap finish EXIT

fanload=${FANLOAD-}
if [ -z "$fanload" ]; then
    fanload=$folder/fanload
    cc -O2 -std=c11 -o "$fanload" ../shared/bench/fanload.c -lpthread
fi

# Starts `gusher ROLE …` with a log of its own and waits for its listeners; gives its number in
# $started, and $slave and $master the addresses that it listens on.
start_gusher() { # name, role, further flags
    local name=$1 role=$2 listeners=1
    shift 2
    [ "$role" != all ] || listeners=2
    local flags=(--public-pem-file "$folder/public.pem" --log-format json)
    [ "$role" = master ] || flags+=(--api-listen 127.0.0.1:0)
    [ "$role" = slave ] || flags+=(--master-api-listen 127.0.0.1:0)
    : >"$folder/$name.log"
    "$gusher" "$role" "${flags[@]}" "$@" 2>"$folder/$name.log" &
    started=$!
    processes+=("$started")
    local deadline=$((SECONDS + 15))
    until [ "$(grep -c '"event":"listening"' "$folder/$name.log")" = "$listeners" ]; do
        if ! kill -0 "$started" || [ "$SECONDS" -gt "$deadline" ]; then
            cat "$folder/$name.log" >&2
            exit 1
        fi
    done
    local address
    for role in slave master; do
        address=$(sed -n 's/.*"address":"\([^"]*\)","role":"'$role'".*/\1/p' "$folder/$name.log")
        [ -z "$address" ] || printf -v "$role" %s "$address"
    done
}

stop_all() {
    local process
    for process in "${processes[@]}"; do
        kill "$process" 2>/dev/null || true
        wait "$process" || true
    done
    processes=()
}

load() { # number of the server, further options of fanload
    local server=$1
    shift
    "$fanload" --ws "$slave" --ws-path '/gcs/ws/demo?token=%v' --vars "$folder/tokens" \
        --sub '{"event":"gusher.subscribe","data":{"channel":"ch%c"}}' --ack subscribe_succeeded \
        --http "$master" --post '/api/push/demo/ch%c/msg' --body 'data=%M' \
        --header Content-Type:application/x-www-form-urlencoded --pid "gusher=$server" "$@" \
        2>/dev/null
}

field() { # name, JSON text
    sed -n "s/.*\"$1\":\([0-9.]*\).*/\1/p" <<<"$2"
}
