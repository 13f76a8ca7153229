/* Opening a WebSocket on 127.0.0.1, for the readers and the watchers. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_BYTES 65536

/* Opens one and leaves what came behind the answer's head in REST, at most ANSWER_BYTES of it;
 * STALLED gets a small buffer. Gives the socket, not blocking any more, or -1. */
static int dial(int port, const char *path, int stalled, char *rest, long *size) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int yes = 1, small = 8192, fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (stalled) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) return -1;
    char request[2048], answer[ANSWER_BYTES], *end;
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n", path, port);
    if (write(fd, request, length) != length) return -1;
    long got = 0;
    do {
        long more = read(fd, answer + got, sizeof answer - 1 - got);
        if (more <= 0) return -1;
        got += more;
        answer[got] = 0;
        end = strstr(answer, "\r\n\r\n");
    } while (!end);
    if (strncmp(answer + 9, "101", 3)) return -1;
    *size = got - (end + 4 - answer);
    memcpy(rest, end + 4, *size);
    return fcntl(fd, F_SETFL, O_NONBLOCK) ? -1 : fd;
}
