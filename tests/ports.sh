# To be sourced: ports for the servers of the suites.
# shellcheck shell=bash

# free_port: a port of 127.0.0.1 that nobody listens on, below those that the system chooses.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}
