/* The compiled part with any bytes, under libFuzzer and the sanitizers: as a log, and as messages of the kernel.
 *
 * Messages end with 0xff 0xfe; the first two bytes of each are its type.
 */
#include "../../collector/auditdeck/audit/ext/records.c"
#include <stdlib.h>

#define REQUIRE(what) if (!(what)) abort()
enum { QUEUE = 64 };

static struct result result;
static int here = -1, there;

/* What Python does with the result: entries end with a zero, and each record that was left over has its header. */
static void look(void) {
    REQUIRE(result.written <= out_size() && result.left_written <= out_size());
    REQUIRE(!result.written || !result.out[result.written - 1]);
    uint64_t at = 0, announced = 0, left = 0;
    while (at < result.written) {
        char *entry = result.out + at;
        if (*entry == 0x1e) announced += strtoul(entry + 1, NULL, 10);
        at += strlen(entry) + 1;
    }
    for (at = 0; at < result.left_written; left++) {
        struct left header;
        REQUIRE(at + sizeof header <= result.left_written);
        memcpy(&header, result.left + at, sizeof header);
        REQUIRE(header.place < result.records);
        at += sizeof header + header.length;
    }
    REQUIRE(at == result.left_written && left == announced && left <= result.records);
}

static void read_as_log(const char *text, size_t size) {
    for (size_t at = 0, done = 1; at < size && done; at += done) {
        done = read_log(text + at, size - at, &result);
        REQUIRE(at + done <= size);
        look();
    }
}

static void receive(const char *text, size_t size, int title_ends) {
    for (int sent = 0; size && sent < QUEUE; sent++) {
        const char *end = memmem(text, size, "\xff\xfe", 2);
        size_t length = end ? (size_t)(end - text) : size, taken = length + 2 < size ? length + 2 : size;
        char message[HEADER + SLOT] = {0};
        if (length > SLOT) length = SLOT;
        memcpy(message + 4, text, length < 2 ? length : 2);
        if (length > 2) memcpy(message + HEADER, text + 2, length - 2);
        if (send(there, message, length > 2 ? HEADER + length - 2 : length, MSG_DONTWAIT) < 0) break;
        text += taken;
        size -= taken;
    }
    receive_records(here, title_ends, &result);
    REQUIRE(!result.failed);
    look();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (here < 0) {
        int pair[2];
        REQUIRE(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
        here = pair[0];
        there = pair[1];
        result = (struct result){.state = malloc(state_size()), .out = malloc(out_size()), .left = malloc(out_size())};
        memset(result.state, 0, state_size());
    }
    if (!size) return 0;
    memset(&result.state->shapes, 0, sizeof result.state->shapes);
    if (*data & 2) receive((const char *)data + 1, size - 1, *data & 1);
    else read_as_log((const char *)data + 1, size - 1);
    return 0;
}
