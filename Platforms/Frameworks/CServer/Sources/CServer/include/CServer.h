#ifndef CSERVER_H
#define CSERVER_H

#include <stdint.h>

/// Starts a server of libmicrohttpd, which calls socket(2), bind(2) and listen(2) itself.
/// Returns its port, or -1 with errno set.
int serve(const char *host, uint16_t port);

/// Finishes open requests and stops. libmicrohttpd calls shutdown(2) on its listener.
void finish(void);

#endif
