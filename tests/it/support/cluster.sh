# Starts a PostgreSQL cluster, says `ready FOLDER`, holds it until standard input closes, and leaves nothing behind. The pipe
# closes however the tests end, so that not even killed ones leave a server running.
#
# usage: cluster.sh FOLDER, where the folder holds initdb, pg_ctl and postgres
trap '' PIPE # Nobody may be left to hear that it is ready.
bin=$1

# Databases come and go with the tests, hundreds of files each: on ext4, most of the server's time goes to finding free inodes for them.
has_room_in_memory() {
    [ -w /dev/shm ] && [ "$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')" -ge 2000000 ]
}

if has_room_in_memory; then parent=/dev/shm; else parent=${TMPDIR:-/tmp}; fi
folder=$(mktemp -d "$parent/cfimages-postgres.XXXXXX") || exit 1
as_owner() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    as_owner() { runuser -u postgres -- "$@"; } # PostgreSQL refuses to run as root
    chown postgres "$folder"
fi

start() {
    as_owner "$bin/initdb" -D "$folder/data" -A trust -U postgres --no-sync --locale=C.UTF-8 --encoding=UTF8 || return
    # Only a socket in a folder of its owner's: no port to collide on, and trust is given to nobody else.
    cat >>"$folder/data/postgresql.conf" <<END
listen_addresses = ''
port = 5432
unix_socket_directories = '$folder'
max_connections = 200
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = 256MB
END
    as_owner "$bin/pg_ctl" -D "$folder/data" -l "$folder/server.log" -w start
}

if start >"$folder/start.log" 2>&1; then
    echo "ready $folder"
    cat
    as_owner "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1
else
    tail -n 20 "$folder"/*.log
fi
rm -rf -- "$folder"
