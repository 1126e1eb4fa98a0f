//! What every listener of the service needs: request ids, access logs, client addresses, limits.
