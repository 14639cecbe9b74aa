/* Audit records to whole events: received from the kernel, or read from a log.
 *
 * This is the busiest part of audit/assembler.py and audit/capture.py, done once more in C; what it does not know it
 * leaves to them. The result are entries that end with a zero byte:
 *
 *   moment 0x1f serial 0x1f arguments 0x1f ids 0x1f shape 0x1f number
 *                     a whole event of a system call, as in audit/event.py; the number stands for the shape from now on
 *   moment 0x1f serial 0x1f arguments 0x1f ids 0x1f number
 *                     another one of that shape
 *   0x1e number       so many of the left records come here in the order
 *
 * Records that are left over have a `struct left` and their bytes each.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <linux/netlink.h>

/* Everything else is hidden (-fvisibility=hidden). */
#define PUBLIC __attribute__((visibility("default")))

enum { CWD = 1307, EOE = 1320, EXECVE = 1309, LOGIN = 1006, PATH = 1302, PROCTITLE = 1327, SOCKADDR = 1306 };
enum { SYSCALL = 1300, FIRST = SYSCALL, LAST = 1899 };
enum {
    HEADER = 16,         /* struct nlmsghdr */
    SLOT = 9216,         /* MAX_AUDIT_MESSAGE_LENGTH (8970) and a header, rounded up */
    SLOTS = 32,
    ROOM = 1 << 21,      /* bytes of one call */
    RECORDS = 1 << 14,   /* records of one call */
    OPEN = 16,           /* events whose records may be mixed */
    LARGEST = 64,        /* records of an event */
    OVERHEAD = 64,       /* what an entry may be longer than its record: a `struct left`, a number */
    SETS = 128,
    WAYS = 4,            /* shapes of one set */
    LONGEST = 2032,      /* bytes of a shape that is remembered */
};

struct left {
    uint32_t kind, length, place, reserved;
};

struct shape {
    uint64_t hash;
    uint32_t length, reserved;
    char text[LONGEST];
};

/* Shapes that were given out, by their hash; `next` is the place of the oldest one of its set. */
struct shapes {
    struct shape known[SETS][WAYS];
    uint32_t next[SETS];
};

/* What Python hands over and reads back; `out` has room for ROOM bytes and OVERHEAD more for each record. */
struct result {
    struct state *state;
    char *out;
    uint64_t written;
    char *left;
    uint64_t left_written;
    uint32_t records, overruns;
    int32_t failed;
    uint32_t more;
};

struct record {
    const char *start, *text; /* text: behind `audit(stamp): ` */
    uint32_t length, text_length, kind;
    int32_t group, next;
};

struct group {
    const char *head;
    uint32_t head_length;
    int32_t first, last, count;
    bool odd, titled, whole;
};

/* Places in the text of a SYSCALL record. */
struct call {
    const char *arguments, *items, *ids, *rest;
};

/* All that one reader needs: several may be at work at once, each with a state of its own. */
struct state {
    struct shapes shapes;
    struct record records[RECORDS];
    struct group groups[RECORDS];
    int open_groups[OPEN], opened;
    char slots[SLOTS][SLOT], room[ROOM];
    struct iovec vectors[SLOTS];
    struct sockaddr_nl senders[SLOTS];
    struct mmsghdr messages[SLOTS];
};

/* The length of `audit(1700000000.123:456)`; 0 if it does not begin like this. */
static uint32_t head_length(const char *text, uint32_t length) {
    uint32_t at = 6, digits = 0;
    if (length < 20 || memcmp(text, "audit(", 6)) return 0;
    for (; at < length && text[at] >= '0' && text[at] <= '9'; at++) digits++;
    if (!digits || digits > 11 || at + 8 > length || text[at++] != '.') return 0;
    for (digits = 0; at < length && text[at] >= '0' && text[at] <= '9'; at++) digits++;
    if (digits != 3 || at >= length || text[at++] != ':') return 0;
    for (digits = 0; at < length && text[at] >= '0' && text[at] <= '9'; at++) digits++;
    return digits && digits <= 18 && at < length && text[at] == ')' ? at + 1 : 0;
}

/* Whether what follows the stamp is `: `, or nothing but `:` for an EOE. */
static bool usual_head(const char *rest, uint32_t length, uint32_t kind) {
    if (length >= 2 && !memcmp(rest, ": ", 2)) return true;
    if (kind != EOE || !length || *rest != ':') return false;
    for (uint32_t at = 1; at < length; at++)
        if (!memchr("\0\r\n ", rest[at], 4)) return false;
    return true;
}

static bool printable(const char *text, uint32_t length) {
    for (uint32_t at = 0; at < length; at++)
        if ((unsigned char)text[at] < 32 && (text[at] == '\n' || text[at] == '\0' || text[at] == 0x1f)) return false;
    return true;
}

static void close_group(struct state *s, int place) {
    struct group *group = &s->groups[s->open_groups[place]];
    group->whole = !group->odd && group->count <= LARGEST;
    memmove(s->open_groups + place, s->open_groups + place + 1, (s->opened - place - 1) * sizeof *s->open_groups);
    s->opened--;
}

/* Where in `open_groups` the event of this head is, the last one first; -1 if it is not open. */
static int find(const struct state *s, const char *head, uint32_t length) {
    for (int place = s->opened - 1; place >= 0; place--) {
        const struct group *group = &s->groups[s->open_groups[place]];
        if (group->head_length <= length && !memcmp(group->head, head, group->head_length)) return place;
    }
    return -1;
}

/* Puts the records of each event together. */
static void assemble(struct state *s, int count, bool title_ends, bool log) {
    int made = 0;
    struct record *records = s->records;
    struct group *groups = s->groups;
    s->opened = 0;
    for (int at = 0; at < count; at++) {
        struct record *record = &records[at];
        record->group = -1;
        const char *payload = record->text;
        uint32_t length = record->text_length;
        int place = payload ? find(s, payload, length) : -1;
        if (place < 0) {
            uint32_t head = payload ? head_length(payload, length) : 0;
            if (log && head)
                /* The next event begins: those that have their title are complete. */
                for (int other = s->opened - 1; other >= 0; other--)
                    if (groups[s->open_groups[other]].titled) close_group(s, other);
            /* As in audit/assembler.py: other records stand alone. A log may have types that are not known here. */
            if (!head || (!log && record->kind != LOGIN && (record->kind < FIRST || record->kind > LAST))) continue;
            if (s->opened == OPEN)
                /* The oldest is left over. */
                memmove(s->open_groups, s->open_groups + 1, --s->opened * sizeof *s->open_groups);
            groups[made] = (struct group){payload, head, at, at, 0, false, false, false};
            groups[made].odd = record->kind != SYSCALL;
            groups[made].titled = !record->kind;
            place = s->opened++;
            s->open_groups[place] = made++;
        } else
            records[groups[s->open_groups[place]].last].next = at;
        struct group *group = &groups[s->open_groups[place]];
        group->last = at;
        group->count++;
        record->group = s->open_groups[place];
        record->text += group->head_length;
        record->text_length -= group->head_length;
        if (!usual_head(record->text, record->text_length, record->kind)) group->odd = true;
        uint32_t blank = record->text_length < 2 ? record->text_length : 2;
        record->text += blank;
        record->text_length -= blank;
        while (record->text_length && memchr("\0\r\n ", record->text[record->text_length - 1], 4)) record->text_length--;
        if (record->kind < 1000 || record->kind > 9999 || !printable(record->text, record->text_length)) group->odd = true;
        if (record->kind == PROCTITLE) group->titled = true;
        if (record->kind == EOE || (title_ends && record->kind == PROCTITLE)) close_group(s, place);
    }
}

static char *number(char *out, uint32_t value) {
    char digits[10];
    int count = 0;
    do digits[count++] = '0' + value % 10;
    while (value /= 10);
    while (count) *out++ = digits[--count];
    return out;
}

static char *copy(char *out, const char *from, uint32_t length) {
    memcpy(out, from, length);
    return out + length;
}

/* Behind the word, and up to `most` digits after it; NULL if they are not there. */
static const char *pass(const char *at, const char *end, const char *word, bool hex, int most) {
    size_t length = strlen(word);
    if (!at || (size_t)(end - at) < length || memcmp(at, word, length)) return NULL;
    const char *digits = at += length;
    while (at < end && ((*at >= '0' && *at <= '9') || (hex && *at >= 'a' && *at <= 'f'))) at++;
    return at > digits && at - digits <= most ? at : NULL;
}

/* Finds ` a0=… a1=… a2=… a3=…`, ` items=…` and ` ppid=… pid=…`, one behind the other, and ` auid=` after them. */
static bool find_call(const struct record *record, struct call *call) {
    const char *text = record->text, *end = text + record->text_length, *at;
    at = call->arguments = memmem(text, record->text_length, " a0=", 4);
    at = pass(at, end, " a0=", true, 16);
    at = pass(at, end, " a1=", true, 16);
    at = pass(at, end, " a2=", true, 16);
    call->items = at = pass(at, end, " a3=", true, 16);
    call->ids = at = pass(at, end, " items=", false, 10);
    at = pass(at, end, " ppid=", false, 10);
    call->rest = at = pass(at, end, " pid=", false, 10);
    return at && end - at >= 6 && !memcmp(at, " auid=", 6) && !memmem(text, call->arguments - text, " items=", 7);
}

static uint64_t hash_of(const char *text, uint32_t length) {
    const uint64_t prime = 0x9e3779b97f4a7c15;
    uint64_t hash = length, word = 0;
    for (; length >= sizeof word; text += sizeof word, length -= sizeof word) {
        memcpy(&word, text, sizeof word);
        hash = (hash ^ word) * prime;
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, text, length);
    hash = (hash ^ word) * prime;
    return hash ^ hash >> 32;
}

/* Puts its number behind a shape that was just written, or in its place if it was given out before. */
static char *write_number(struct shapes *shapes, char *text, char *end) {
    uint32_t length = end - text;
    if (length > LONGEST) {
        *end++ = 0x1f;
        return end;
    }
    uint64_t hash = hash_of(text, length);
    uint32_t set = hash % SETS;
    struct shape *known = shapes->known[set];
    for (uint32_t way = 0; way < WAYS; way++)
        if (known[way].hash == hash && known[way].length == length && !memcmp(known[way].text, text, length))
            return number(text, set * WAYS + way);
    uint32_t way = shapes->next[set]++ % WAYS;
    known[way].hash = hash;
    known[way].length = length;
    memcpy(known[way].text, text, length);
    *end++ = 0x1f;
    return number(end, set * WAYS + way);
}

static char *write_event(struct state *s, char *out, const struct group *group) {
    const struct record *records = s->records;
    const char *stamp = group->head + 6, *colon = memchr(stamp, ':', group->head_length);
    const struct record *first = &records[group->first];
    struct call call;
    out = copy(out, stamp, colon - stamp);
    *out++ = 0x1f;
    out = copy(out, colon + 1, group->head + group->head_length - 1 - (colon + 1));
    *out++ = 0x1f;
    bool found = find_call(first, &call);
    if (found) out = copy(out, call.arguments, call.items - call.arguments);
    *out++ = 0x1f;
    if (found) out = copy(out, call.ids, call.rest - call.ids);
    *out++ = 0x1f;
    char *shape = out;
    for (int at = group->first;; at = records[at].next) {
        const struct record *record = &records[at];
        if (record->kind != EOE) {
            if (record != first) *out++ = '\n';
            out = number(out, record->kind);
            *out++ = ' ';
            const char *from = record->text;
            if (found && record == first) {
                out = copy(out, from, call.arguments - from);
                out = copy(out, call.items, call.ids - call.items);
                from = call.rest;
            }
            out = copy(out, from, record->text + record->text_length - from);
        }
        if (at == group->last) break;
    }
    out = write_number(&s->shapes, shape, out);
    *out++ = 0;
    return out;
}

static char *write_marker(char *out, uint32_t run) {
    *out++ = 0x1e;
    out = number(out, run);
    *out++ = 0;
    return out;
}

/* Events and what is left over, in the order in which each was complete. */
static void write_all(int count, struct result *result) {
    struct state *s = result->state;
    const struct record *records = s->records;
    const struct group *groups = s->groups;
    char *out = result->out, *left = result->left;
    uint32_t run = 0;
    for (int at = 0; at < count; at++) {
        const struct record *record = &records[at];
        const struct group *group = record->group < 0 ? NULL : &groups[record->group];
        if (!group || !group->whole) {
            struct left header = {record->kind, record->length, at, 0};
            left = copy(left, (const char *)&header, sizeof header);
            left = copy(left, record->start, record->length);
            run++;
        } else if (at == group->last) {
            if (run) out = write_marker(out, run);
            run = 0;
            out = write_event(s, out, group);
        }
    }
    if (run) out = write_marker(out, run);
    result->written = out - result->out;
    result->left_written = left - result->left;
    result->records = count;
}

/* Takes what an audit socket has, without waiting. `more` says that there was no room for all. */
PUBLIC void receive_records(int fd, int title_ends, struct result *result) {
    struct state *s = result->state;
    int count = 0;
    char *end = s->room;
    result->overruns = result->failed = result->more = 0;
    for (int slot = 0; slot < SLOTS; slot++) {
        s->vectors[slot] = (struct iovec){s->slots[slot], SLOT};
        s->messages[slot].msg_hdr = (struct msghdr){.msg_iov = &s->vectors[slot], .msg_iovlen = 1,
                                                    .msg_name = &s->senders[slot]};
    }
    for (;;) {
        for (int slot = 0; slot < SLOTS; slot++) s->messages[slot].msg_hdr.msg_namelen = sizeof *s->senders;
        if (end + SLOTS * SLOT > s->room + ROOM || count + SLOTS > RECORDS) {
            result->more = 1;
            break;
        }
        int got = recvmmsg(fd, s->messages, SLOTS, MSG_DONTWAIT, NULL);
        if (got < 0) {
            if (errno == ENOBUFS) {
                result->overruns++;
                continue;
            }
            if (errno != EAGAIN && errno != EINTR) result->failed = errno;
            break;
        }
        for (int slot = 0; slot < got; slot++) {
            uint32_t length = s->messages[slot].msg_len;
            uint16_t kind;
            /* Only the kernel's own messages count; it is the port 0 (netlink(7)). */
            if (length < HEADER || (s->messages[slot].msg_hdr.msg_namelen && s->senders[slot].nl_pid)) continue;
            memcpy(&kind, s->slots[slot] + 4, sizeof kind);
            memcpy(end, s->slots[slot] + HEADER, length - HEADER);
            s->records[count++] = (struct record){end, end, length - HEADER, length - HEADER, kind, -1, -1};
            end += length - HEADER;
        }
        if (got < SLOTS) break;
    }
    assemble(s, count, title_ends, false);
    write_all(count, result);
}

static const struct {
    const char *name;
    uint32_t kind;
} names[] = {
    {"SYSCALL", SYSCALL}, {"PATH", PATH}, {"PROCTITLE", PROCTITLE}, {"CWD", CWD},
    {"EXECVE", EXECVE},   {"SOCKADDR", SOCKADDR}, {"EOE", EOE},
};

/* `type=SYSCALL msg=audit(…): …`; anything else has no text, or the kind 0. */
static struct record read_line(const char *line, uint32_t length) {
    struct record record = {line, NULL, length, 0, 0, -1, -1};
    if (length < 10 || memcmp(line, "type=", 5)) return record;
    const char *end = memchr(line + 5, ' ', length - 5);
    if (!end || line + length - end < 11 || memcmp(end, " msg=audit(", 11)) return record;
    record.text = end + 5;
    record.text_length = line + length - record.text;
    for (size_t at = 0; at < sizeof names / sizeof *names; at++)
        if (strlen(names[at].name) == (size_t)(end - line - 5) && !memcmp(names[at].name, line + 5, end - line - 5))
            record.kind = names[at].kind;
    return record;
}

/* Reads whole lines of an audit log; the number of bytes that were read, 0 if the first line is too long. */
PUBLIC uint64_t read_log(const char *text, uint64_t size, struct result *result) {
    struct state *s = result->state;
    const char *at = text, *end = text + size;
    int count = 0;
    result->overruns = result->failed = result->more = 0;
    while (at < end && count < RECORDS) {
        const char *newline = memchr(at, '\n', end - at);
        const char *next = newline ? newline + 1 : end;
        if (next - text > ROOM) break;
        s->records[count++] = read_line(at, next - at);
        at = next;
    }
    assemble(s, count, false, true);
    write_all(count, result);
    return at - text;
}

/* Of this file's interface; grows with every change of it. */
PUBLIC uint32_t abi_version(void) { return 2; }

PUBLIC uint64_t state_size(void) { return sizeof(struct state); }

PUBLIC uint64_t out_size(void) { return ROOM + (uint64_t)RECORDS * OVERHEAD; }
