// A server as the tutorial of libmicrohttpd shows it, with a thread for each connection.
#include "CServer.h"
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct MHD_Daemon *server;

static long number(struct MHD_Connection *connection, const char *name, long usual, long most) {
    const char *text = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
    long value = text ? atol(text) : usual;
    return value < 0 || value > most ? usual : value;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *data, size_t *size, void **state) {
    char text[32] = "Hello world!";
    struct MHD_Response *response;
    if (strcmp(path, "/pid") == 0) snprintf(text, sizeof text, "%d", (int)getpid());
    if (strcmp(path, "/slow") == 0) usleep((useconds_t)number(connection, "ms", 100, 60000) * 1000);
    if (strcmp(path, "/big") == 0) {
        size_t length = (size_t)number(connection, "mb", 1, 64) << 20;
        response = MHD_create_response_from_buffer(length, calloc(1, length), MHD_RESPMEM_MUST_FREE);
    } else {
        response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
    }
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

int serve(const char *host, uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    server = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, port, NULL, NULL, &answer,
                              NULL, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    if (!server) return -1;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : port;
}

void finish(void) {
    // The listener first, so that no new connection comes. Connections that are open are finished.
    MHD_socket listener = MHD_quiesce_daemon(server);
    if (listener != MHD_INVALID_SOCKET) close(listener);
    for (int waited = 0; waited < 300; waited++) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(server, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
        if (!info || info->num_connections == 0) break;
        usleep(10000);
    }
    MHD_stop_daemon(server);
}
