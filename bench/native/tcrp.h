/* What a load generator and a reference relay both know of the protocol: the `text` dialect's bytes. */
#ifndef TCRP_H
#define TCRP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    HEADER = 32,        /* room_len(1) operation(1) state(1) payload_len(29) */
    NAME_MAX_BYTES = 255,
    TOKEN_BYTES = 32,
    DATAGRAM_MAX = 4096,
    CREATE = 1,
    JOIN = 2,
    REQUEST = 0,
    ANSWER = 1,
    COMPLETION = 2,
};

/* Writes a frame whose payload is at most 255 bytes. Returns its size. */
static inline size_t put_frame(uint8_t *out, int operation, int state, const void *room, size_t room_len,
                               const void *payload, size_t payload_len) {
    memset(out, 0, HEADER);
    out[0] = (uint8_t)room_len;
    out[1] = (uint8_t)operation;
    out[2] = (uint8_t)state;
    out[HEADER - 1] = (uint8_t)payload_len;
    memcpy(out + HEADER, room, room_len);
    memcpy(out + HEADER + room_len, payload, payload_len);
    return HEADER + room_len + payload_len;
}

#endif
