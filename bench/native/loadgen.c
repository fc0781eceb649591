/* Loads a server that speaks the `text` dialect, on the loopback, and counts what comes back.
 *
 *     cc -O2 -o loadgen loadgen.c
 *     ./loadgen --tcp 9002 --udp 9003 --rooms 500 --members 10 --rate 10000 --seconds 60 --pid SERVER
 *     ./loadgen --tcp 9002 --udp 9003 --rooms 50 --members 100 --window 32 --seconds 5
 *     ./loadgen --tcp 9002 --udp 9003 --rooms 20000 --members 10 --idle
 *
 * Everybody joins, then members take turns, room after room: `--rate` texts a second over all rooms, or
 * as many as keep `--window` texts under way. `--idle`: everybody enters and says nothing; no socket is
 * kept. The last line is a JSON object. `lost` is what had not arrived a second after the last text;
 * `cpu_us_per_delivery` is the processor time of process `--pid`, user and system, by relays arrived;
 * `kib_per_session` is by how much its resident memory has grown for each who joined.
 */
#define _GNU_SOURCE
#include "tcrp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES = 100, BATCH = 32, EVENTS = 512, SAMPLES = 1 << 20, PER_ADDRESS = 20000 };

struct member {
    int fd;
    int head; /* bytes of room_len token_len room token */
    uint8_t datagram[2 + 16 + TOKEN_BYTES + TEXT_BYTES];
};

static struct {
    int tcp, udp, rooms, members, rate, window, pid, idle;
    double seconds;
} ask = {9002, 9003, 50, 100, 0, 32, 0, 0, 5.0};

static struct member *crowd;
static int crowd_size, poller;
static long arrived;
static uint32_t *latency_us;
static long latencies;

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* --- the server's process ---------------------------------------------------------------------- */

static double cpu_seconds(void) {
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    if (!ask.pid) return 0;
    snprintf(path, sizeof path, "/proc/%d/stat", ask.pid);
    FILE *f = fopen(path, "r");
    if (!f) fail(path);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    char *after = strrchr(text, ')'); /* the name before it may hold blanks */
    if (after) sscanf(after + 1, " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static long resident_kib(void) {
    char path[64];
    long size = 0, resident = 0;
    if (!ask.pid) return 0;
    snprintf(path, sizeof path, "/proc/%d/statm", ask.pid);
    FILE *f = fopen(path, "r");
    if (!f) fail(path);
    if (fscanf(f, "%ld %ld", &size, &resident) != 2) resident = 0;
    fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* --- joining ----------------------------------------------------------------------------------- */

static struct sockaddr_in at(uint32_t ip, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(ip);
    return address;
}

static int connected(int type, uint32_t own_ip, int port) {
    struct sockaddr_in own = at(own_ip, 0), server = at(INADDR_LOOPBACK, port);
    int fd = socket(AF_INET, type, 0), on = 1;
    if (fd < 0) fail("socket");
    if (type == SOCK_STREAM) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&own, sizeof own)) fail("bind");
    if (connect(fd, (struct sockaddr *)&server, sizeof server)) fail("connect");
    return fd;
}

static void take_all(int fd, uint8_t *to, size_t size) {
    for (ssize_t n; size; to += n, size -= n)
        if ((n = read(fd, to, size)) <= 0) fail("the server ended a handshake");
}

/* Reads one frame; returns its payload's size. */
static int take_frame(int fd, uint8_t *payload) {
    uint8_t head[HEADER], room[NAME_MAX_BYTES];
    take_all(fd, head, HEADER);
    take_all(fd, room, head[0]);
    take_all(fd, payload, head[HEADER - 1]);
    return head[HEADER - 1];
}

static void join(struct member *m, int number) {
    char room[16], name[16];
    uint8_t out[HEADER + 32], payload[256];
    int room_len = snprintf(room, sizeof room, "room-%d", number / ask.members);
    int name_len = snprintf(name, sizeof name, "user-%d", number);
    uint32_t own_ip = INADDR_LOOPBACK + (uint32_t)(ask.idle ? 256 * (1 + number / PER_ADDRESS) : 0);
    int fd = connected(SOCK_STREAM, own_ip, ask.tcp);
    size_t size = put_frame(out, number % ask.members ? JOIN : CREATE, REQUEST, room, room_len, name, name_len);
    if (write(fd, out, size) != (ssize_t)size) fail("request");
    if (take_frame(fd, payload) != 1 || payload[0]) {
        fprintf(stderr, "%s was refused: status %d\n", name, payload[0]);
        exit(2);
    }
    int token_len = take_frame(fd, payload);
    close(fd);
    m->datagram[0] = (uint8_t)room_len;
    m->datagram[1] = (uint8_t)token_len;
    memcpy(m->datagram + 2, room, room_len);
    memcpy(m->datagram + 2 + room_len, payload, token_len);
    m->head = 2 + room_len + token_len;
    m->fd = connected(SOCK_DGRAM, own_ip, ask.udp);
    if (send(m->fd, m->datagram, m->head, 0) < 0) fail("enter"); /* an empty text */
    if (ask.idle) {
        close(m->fd);
        return;
    }
    int buffer = 4 << 20;
    setsockopt(m->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)number};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, m->fd, &event)) fail("epoll_ctl");
}

/* --- talking ----------------------------------------------------------------------------------- */

static void say(struct member *m) {
    char stamp[17];
    uint8_t *text = m->datagram + m->head;
    memset(text, '.', TEXT_BYTES);
    snprintf(stamp, sizeof stamp, "%016llx", (unsigned long long)now_ns());
    memcpy(text + TEXT_BYTES - 16, stamp, 16);
    if (send(m->fd, m->datagram, m->head + TEXT_BYTES, 0) < 0 && errno != ECONNREFUSED) fail("send");
}

static void note_latency(const uint8_t *data, unsigned size) {
    char stamp[17] = {0};
    if (latencies == SAMPLES || size < 16) return;
    memcpy(stamp, data + size - 16, 16);
    int64_t us = (now_ns() - (int64_t)strtoull(stamp, NULL, 16)) / 1000;
    latency_us[latencies++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

/* Takes what has come within `wait_ms`. Returns whether anything had. */
static int hear(int wait_ms) {
    static uint8_t data[BATCH][DATAGRAM_MAX];
    static struct epoll_event events[EVENTS];
    struct iovec parts[BATCH];
    struct mmsghdr in[BATCH];
    int n = epoll_wait(poller, events, EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < BATCH; j++) {
            parts[j] = (struct iovec){data[j], DATAGRAM_MAX};
            in[j].msg_hdr = (struct msghdr){.msg_iov = &parts[j], .msg_iovlen = 1};
        }
        int got = recvmmsg(crowd[events[i].data.u32].fd, in, BATCH, MSG_DONTWAIT, NULL);
        for (int j = 0; j < got; j++)
            if (memmem(data[j], in[j].msg_len, "....", 4)) arrived++; /* a text, not a notice */
        if (got > 0) note_latency(data[0], in[0].msg_len);
    }
    return n > 0;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(int percent) {
    return latencies ? latency_us[(latencies - 1) * percent / 100] : 0;
}

static void parse(int argc, char **argv) {
    static const struct option options[] = {{"tcp", 1, 0, 't'},     {"udp", 1, 0, 'u'},    {"rooms", 1, 0, 'r'},
                                            {"members", 1, 0, 'm'}, {"rate", 1, 0, 'a'},   {"window", 1, 0, 'w'},
                                            {"seconds", 1, 0, 's'}, {"pid", 1, 0, 'p'},    {"idle", 0, 0, 'i'},
                                            {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (c) {
            case 't': ask.tcp = atoi(optarg); break;
            case 'u': ask.udp = atoi(optarg); break;
            case 'r': ask.rooms = atoi(optarg); break;
            case 'm': ask.members = atoi(optarg); break;
            case 'a': ask.rate = atoi(optarg); break;
            case 'w': ask.window = atoi(optarg); break;
            case 's': ask.seconds = atof(optarg); break;
            case 'p': ask.pid = atoi(optarg); break;
            case 'i': ask.idle = 1; break;
            default: exit(2);
        }
    if (ask.rooms < 1 || ask.members < 1 || ask.window < 1 || ask.rate < 0 || ask.seconds > 600) {
        fprintf(stderr, "loadgen: rooms, members and window are at least 1, seconds at most 600\n");
        exit(2);
    }
}

int main(int argc, char **argv) {
    parse(argc, argv);
    crowd_size = ask.rooms * ask.members;
    crowd = calloc((size_t)crowd_size, sizeof *crowd);
    latency_us = malloc(SAMPLES * sizeof *latency_us);
    poller = epoll_create1(0);
    if (!crowd || !latency_us || poller < 0) fail("memory");
    struct rlimit files = {(rlim_t)crowd_size + 64, (rlim_t)crowd_size + 64};
    if (!ask.idle && setrlimit(RLIMIT_NOFILE, &files)) getrlimit(RLIMIT_NOFILE, &files);

    long before_kib = resident_kib();
    int64_t began = now_ns();
    for (int i = 0; i < crowd_size; i++) join(&crowd[i], i);
    double joining = (now_ns() - began) / 1e9;
    if (ask.idle) {
        usleep(500000); /* the last of them enters */
        printf("{\"sessions\": %d, \"joins_per_s\": %.0f, \"kib_per_session\": %.3f}\n", crowd_size,
               crowd_size / joining, (double)(resident_kib() - before_kib) / crowd_size);
        return 0;
    }
    while (hear(300)) continue; /* until it is quiet */
    arrived = latencies = 0;

    long said = 0, expected = 0, given_up = 0;
    double cpu = cpu_seconds();
    int64_t start = now_ns(), end = start + (int64_t)(ask.seconds * 1e9), heard = start;
    for (int64_t now = start; now < end || (expected > arrived + given_up && now < end + 1000000000LL); now = now_ns()) {
        while (now < end && (ask.rate ? said < (now - start) / 1e9 * ask.rate
                                      : expected - arrived - given_up < (long)ask.window * (ask.members - 1))) {
            say(&crowd[said % ask.rooms * ask.members + said / ask.rooms % ask.members]);
            said++;
            expected += ask.members - 1;
            if (said % 64 == 0) hear(0);
        }
        if (hear(1)) heard = now_ns();
        if (!ask.rate && now_ns() - heard > 50000000LL) { /* a window must not wait for what is lost */
            given_up = expected - arrived;
            heard = now_ns();
        }
    }
    double spent = cpu_seconds() - cpu, talking = (end - start) / 1e9;
    qsort(latency_us, (size_t)latencies, sizeof *latency_us, ascending);
    printf("{\"rooms\": %d, \"members\": %d, \"joins_per_s\": %.0f, \"messages_per_s\": %.0f, \"deliveries_per_s\": %.0f, "
           "\"lost\": %ld, \"latency_us_p50\": %u, \"latency_us_p99\": %u, \"latency_us_max\": %u, "
           "\"cpu_us_per_delivery\": %.3f}\n",
           ask.rooms, ask.members, crowd_size / joining, said / talking, arrived / talking, expected - arrived,
           percentile(50), percentile(99), percentile(100), arrived ? spent * 1e6 / arrived : 0);
    return 0;
}
