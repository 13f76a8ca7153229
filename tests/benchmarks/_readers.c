/* Many WebSocket readers in one process: opens COUNT sockets on 127.0.0.1:PORT, of which the last
 * STALLED never read, prints "ready", and counts whole text frames until each reader has FRAMES.
 * Prints "<frames read> <seconds from the first frame to the last>".
 *
 * usage: readers PORT PATH COUNT STALLED FRAMES SECONDS
 */
#include "_dialing.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

typedef struct {
    int fd;
    int have;          /* header bytes read */
    int need;          /* header bytes there are */
    uint8_t header[10];
    uint64_t left;     /* payload bytes to come */
} reader;

static char buffer[1 << 18];

static double now(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return moment.tv_sec + moment.tv_nsec / 1e9;
}

/* Whole text frames in some bytes of one reader. */
static long feed(reader *one, const char *bytes, long count) {
    long frames = 0, at = 0;
    while (at < count) {
        if (one->have < one->need) {
            one->header[one->have++] = (uint8_t)bytes[at++];
            if (one->have == 2) {
                int length = one->header[1] & 127;
                one->left = length;
                if (length > 125) one->need = length == 126 ? 4 : 10;
            }
            if (one->have < one->need) continue;
            if (one->need > 2) {
                one->left = 0;
                for (int i = 2; i < one->need; i++) one->left = one->left << 8 | one->header[i];
            }
        } else {
            uint64_t taken = count - at;
            if (taken > one->left) taken = one->left;
            at += taken;
            one->left -= taken;
        }
        if (one->have == one->need && one->left == 0) {
            if ((one->header[0] & 15) == 1) frames++;
            one->have = 0;
            one->need = 2;
        }
    }
    return frames;
}

int main(int count, char **words) {
    if (count != 7) return 2;
    int port = atoi(words[1]), readers = atoi(words[3]), stalled = atoi(words[4]);
    long wanted = atol(words[5]) * (readers - stalled), frames = 0;
    double limit = atof(words[6]), first = 0, last = 0;
    reader *all = calloc(readers, sizeof *all);
    int poll = epoll_create1(0);
    for (int i = 0; i < readers; i++) {
        int sleeps = i >= readers - stalled;
        long size = 0;
        all[i].need = 2;
        all[i].fd = dial(port, words[2], sleeps, buffer, &size);
        if (all[i].fd < 0) {
            fprintf(stderr, "could not open socket %d\n", i);
            return 1;
        }
        frames += feed(&all[i], buffer, size);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (!sleeps) epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
    }
    puts("ready");
    fflush(stdout);
    double begun = now();
    struct epoll_event events[1024];
    while (frames < wanted && now() - begun < limit) {
        int ready = epoll_wait(poll, events, 1024, 100);
        for (int i = 0; i < ready; i++) {
            reader *one = &all[events[i].data.u32];
            long got = read(one->fd, buffer, sizeof buffer);
            if (got > 0) {
                last = now();
                if (!first) first = last;
                frames += feed(one, buffer, got);
            } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
                epoll_ctl(poll, EPOLL_CTL_DEL, one->fd, 0);
            }
        }
    }
    printf("%ld %.6f\n", frames, last - first);
    fflush(stdout);
    getchar(); /* the sockets stay open until we are told */
    return 0;
}
