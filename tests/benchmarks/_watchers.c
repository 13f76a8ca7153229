/* Many consoles in one process: opens COUNT WebSockets on 127.0.0.1:PORT and notes when each
 * `change` frame was read. Prints "ready" when all are open. Letters on standard input:
 *   s  the last STALLED of them stop reading      w  they read again      q  write files and end
 *
 * TIMES gets one record a change frame: {int32 socket, int32 0, int64 previous, int64 revision,
 * int64 microseconds since 1970}. FRAMES gets every text frame of the last STALLED sockets:
 * {int32 socket, int32 bytes} and the payload.
 *
 * usage: watchers PORT PATH COUNT STALLED TIMES FRAMES
 */
#include "_dialing.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

typedef struct {
    int fd;
    char *bytes; /* read and not yet a whole frame */
    long have, room;
} console;

typedef struct {
    int32_t socket, unused;
    int64_t previous, revision, at_us;
} seen;

static char buffer[1 << 18];
static seen *notes;
static long noted, note_room;
static FILE *frames;
static int count, stalled;

static int64_t now_us(void) {
    struct timespec moment;
    clock_gettime(CLOCK_REALTIME, &moment);
    return moment.tv_sec * 1000000LL + moment.tv_nsec / 1000;
}

static int64_t number(const char *text, const char *name) {
    const char *found = strstr(text, name);
    return found ? atoll(found + strlen(name)) : -1;
}

static void take(int which, const char *payload, long size, int64_t at_us) {
    static const char change[] = "{\"type\":\"change\"";
    if (which >= count - stalled) {
        int32_t head[2] = {which, (int32_t)size};
        fwrite(head, sizeof head, 1, frames);
        fwrite(payload, size, 1, frames);
    }
    if (size < (long)sizeof change || strncmp(payload, change, sizeof change - 1)) return;
    char head[160] = {0};
    memcpy(head, payload, size < 159 ? size : 159);
    if (noted == note_room) {
        note_room = note_room ? note_room * 2 : 1 << 16;
        notes = realloc(notes, note_room * sizeof *notes);
    }
    notes[noted++] = (seen){which, 0, number(head, "\"previous\":"), number(head, "\"revision\":"),
                            at_us};
}

static void feed(console *one, int which, const char *bytes, long size, int64_t at_us) {
    if (one->have + size > one->room) {
        one->room = (one->have + size) * 2;
        one->bytes = realloc(one->bytes, one->room);
    }
    memcpy(one->bytes + one->have, bytes, size);
    one->have += size;
    long at = 0;
    for (;;) {
        const uint8_t *head = (const uint8_t *)one->bytes + at;
        long left = one->have - at, start = 2, length;
        if (left < 2) break;
        length = head[1] & 127;
        if (length > 125) {
            int width = length == 126 ? 2 : 8;
            start += width;
            if (left < start) break;
            length = 0;
            for (int i = 0; i < width; i++) length = length << 8 | head[2 + i];
        }
        if (left < start + length) break;
        if ((head[0] & 15) == 1) take(which, (const char *)head + start, length, at_us);
        at += start + length;
    }
    memmove(one->bytes, one->bytes + at, one->have - at);
    one->have -= at;
}

int main(int words_count, char **words) {
    if (words_count != 7) return 2;
    int port = atoi(words[1]), wake = epoll_create1(0);
    count = atoi(words[3]);
    stalled = atoi(words[4]);
    frames = fopen(words[6], "wb");
    console *all = calloc(count, sizeof *all);
    struct epoll_event event = {.events = EPOLLIN};
    for (int i = 0; i < count; i++) {
        long size = 0;
        all[i].fd = dial(port, words[2], i >= count - stalled, buffer, &size);
        if (all[i].fd < 0) {
            fprintf(stderr, "could not open socket %d\n", i);
            return 1;
        }
        feed(&all[i], i, buffer, size, now_us());
        event.data.u32 = i;
        epoll_ctl(wake, EPOLL_CTL_ADD, all[i].fd, &event);
    }
    event.data.u32 = count;
    epoll_ctl(wake, EPOLL_CTL_ADD, 0, &event);
    puts("ready");
    fflush(stdout);
    struct epoll_event events[1024];
    for (int going = 1; going;) {
        int ready = epoll_wait(wake, events, 1024, 1000);
        for (int i = 0; i < ready; i++) {
            int which = events[i].data.u32;
            if (which == count) {
                char letter;
                if (read(0, &letter, 1) != 1 || letter == 'q') going = 0;
                for (int j = count - stalled; j < count && (letter == 's' || letter == 'w'); j++) {
                    event.data.u32 = j;
                    epoll_ctl(wake, letter == 's' ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, all[j].fd,
                              &event);
                }
                continue;
            }
            long got = read(all[which].fd, buffer, sizeof buffer);
            if (got > 0) {
                feed(&all[which], which, buffer, got, now_us());
            } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
                epoll_ctl(wake, EPOLL_CTL_DEL, all[which].fd, NULL);
            }
        }
    }
    FILE *times = fopen(words[5], "wb");
    fwrite(notes, sizeof *notes, noted, times);
    fclose(times);
    fclose(frames);
    puts("done");
    return 0;
}
