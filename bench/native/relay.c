/* The least that a relay of the `text` dialect must do, on two sockets in one thread.
 *
 *     cc -O2 -o relay relay.c && ./relay TCP_PORT UDP_PORT
 *
 * It is what the server's cost is divided by. It has no timeouts, limits, notices or leavings, believes
 * its clients, and serves one request at a time: what is measured is receiving, finding and sending.
 */
#define _GNU_SOURCE
#include "tcrp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEOPLE_MAX = 1 << 20, BUCKETS = 1 << 16, IN_BATCH = 64, OUT_BATCH = 256 };

struct person {
    struct room *room;
    struct sockaddr_in address;
    int has_entered;
    int label_len; /* of `name: ` */
    char label[NAME_MAX_BYTES + 2];
};

struct room {
    struct room *next; /* in its bucket */
    int name_len;
    char name[NAME_MAX_BYTES];
    struct person **members; /* those who have entered */
    int count, capacity;
};

static struct person *people[PEOPLE_MAX];
static struct room *buckets[BUCKETS];
static unsigned people_count;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct room *room_named(const uint8_t *name, int len) {
    unsigned hash = 5381;
    for (int i = 0; i < len; i++) hash = hash * 33 + name[i];
    struct room **place = &buckets[hash % BUCKETS];
    for (struct room *r = *place; r; r = r->next)
        if (r->name_len == len && !memcmp(r->name, name, len)) return r;
    struct room *r = calloc(1, sizeof *r);
    if (!r) fail("calloc");
    r->name_len = len;
    memcpy(r->name, name, len);
    r->next = *place;
    return *place = r;
}

static int read_all(int fd, uint8_t *to, size_t size) {
    for (ssize_t n; size; to += n, size -= n)
        if ((n = read(fd, to, size)) <= 0) return 0;
    return 1;
}

/* Takes one request and hands out a token, which is the person's number in hexadecimal. */
static void serve(int listener) {
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    uint8_t head[HEADER], room[NAME_MAX_BYTES], name[NAME_MAX_BYTES], out[2 * (HEADER + NAME_MAX_BYTES) + 64];
    int fd = accept(listener, (struct sockaddr *)&peer, &len);
    if (fd < 0) return;
    if (people_count < PEOPLE_MAX && read_all(fd, head, HEADER) && read_all(fd, room, head[0]) &&
        read_all(fd, name, head[HEADER - 1])) {
        struct person *p = calloc(1, sizeof *p);
        if (!p) fail("calloc");
        p->room = room_named(room, head[0]);
        p->address = peer;
        p->label_len = snprintf(p->label, sizeof p->label, "%.*s: ", head[HEADER - 1], name);
        char token[TOKEN_BYTES + 1];
        snprintf(token, sizeof token, "%032x", people_count);
        people[people_count++] = p;
        size_t size = put_frame(out, head[1], ANSWER, room, head[0], "\0", 1);
        size += put_frame(out + size, head[1], COMPLETION, room, head[0], token, TOKEN_BYTES);
        if (write(fd, out, size) < 0) perror("write");
    }
    close(fd);
}

static struct person *holder(const uint8_t *token) {
    char digits[9] = {0};
    memcpy(digits, token + TOKEN_BYTES - 8, 8);
    unsigned long number = strtoul(digits, NULL, 16);
    return number < people_count ? people[number] : NULL;
}

static void enter(struct person *p) {
    struct room *r = p->room;
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 16;
        r->members = realloc(r->members, r->capacity * sizeof *r->members);
        if (!r->members) fail("realloc");
    }
    r->members[r->count++] = p;
    p->has_entered = 1;
}

static void relay(int udp, struct person *from, uint8_t *text, size_t size) {
    static struct mmsghdr out[OUT_BATCH];
    struct iovec parts[2] = {{from->label, (size_t)from->label_len}, {text, size}};
    struct room *r = from->room;
    for (int i = 0; i < r->count;) {
        int n = 0;
        for (; i < r->count && n < OUT_BATCH; i++) {
            if (r->members[i] == from) continue;
            out[n++].msg_hdr = (struct msghdr){.msg_name = &r->members[i]->address,
                                               .msg_namelen = sizeof(struct sockaddr_in),
                                               .msg_iov = parts,
                                               .msg_iovlen = 2};
        }
        for (int done = 0, sent; done < n; done += sent)
            if ((sent = sendmmsg(udp, out + done, n - done, 0)) <= 0) break;
    }
}

static void take(int udp, uint8_t *data, int size, const struct sockaddr_in *source) {
    if (size < 2 || data[1] != TOKEN_BYTES || size < 2 + data[0] + TOKEN_BYTES) return;
    struct person *p = holder(data + 2 + data[0]);
    if (!p || p->address.sin_addr.s_addr != source->sin_addr.s_addr) return;
    if (p->room->name_len != data[0] || memcmp(p->room->name, data + 2, data[0])) return;
    p->address = *source;
    if (!p->has_entered) enter(p);
    int head = 2 + data[0] + TOKEN_BYTES;
    if (size > head) relay(udp, p, data + head, size - head);
}

static void drain(int udp) {
    static uint8_t data[IN_BATCH][DATAGRAM_MAX + 1];
    static struct sockaddr_in sources[IN_BATCH];
    struct iovec parts[IN_BATCH];
    struct mmsghdr in[IN_BATCH];
    for (int i = 0; i < IN_BATCH; i++) {
        parts[i] = (struct iovec){data[i], sizeof data[i]};
        in[i].msg_hdr = (struct msghdr){
            .msg_name = &sources[i], .msg_namelen = sizeof sources[i], .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(udp, in, IN_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++)
        if (in[i].msg_len <= DATAGRAM_MAX) take(udp, data[i], (int)in[i].msg_len, &sources[i]);
}

static int bound(int type, const char *port) {
    int fd = socket(AF_INET, type, 0), on = 1, size = 8 << 20;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) fail("socket");
    setsockopt(fd, SOL_SOCKET, type == SOCK_STREAM ? SO_REUSEADDR : SO_RCVBUF, type == SOCK_STREAM ? &on : &size,
               sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at)) fail("bind");
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: relay TCP_PORT UDP_PORT\n");
        return 2;
    }
    int tcp = bound(SOCK_STREAM, argv[1]), udp = bound(SOCK_DGRAM, argv[2]), size = 8 << 20;
    setsockopt(udp, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (listen(tcp, 1024)) fail("listen");
    puts("ready");
    fflush(stdout);
    struct pollfd wait[2] = {{.fd = tcp, .events = POLLIN}, {.fd = udp, .events = POLLIN}};
    while (poll(wait, 2, -1) >= 0) {
        if (wait[1].revents) drain(udp);
        if (wait[0].revents) serve(tcp);
    }
    return 1;
}
