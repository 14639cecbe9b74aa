/* Makes TCP and UDP connections of a known kind and number, to be counted.
 *
 *   traffic KIND COUNT ADDRESS PORT [RATE]    KIND: blocking, nonblocking, twice, udp, uring, exec, open, mixed
 *   traffic serve SECONDS ADDRESS PORT        accepts and closes until the time is over; prints "ready"
 *
 * `twice` connects without blocking and calls connect again when it is done, as some programs do to see the result.
 * `exec` runs /bin/true, `open` opens /etc/hostname, `mixed` does one of blocking, exec and open in turn.
 * Prints how many succeeded (or are in progress), how many failed, the seconds that all took, and when the first began.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_storage address;
static socklen_t length;

static void die(const char *what) { perror(what); exit(2); }

static void parse(const char *text, int port) {
    struct sockaddr_in *four = (void *)&address;
    struct sockaddr_in6 *six = (void *)&address;
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        length = sizeof *four;
    } else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        length = sizeof *six;
    } else {
        fprintf(stderr, "no address: %s\n", text);
        exit(2);
    }
}

static int serve(int seconds) {
    int one = 1, off = 0, listener = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) die("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address.ss_family == AF_INET6) setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(listener, (void *)&address, length) < 0) die("bind");
    if (listen(listener, 4096) < 0) die("listen");
    puts("ready");
    fflush(stdout);
    alarm(seconds);
    for (;;) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection >= 0) close(connection);
    }
}

static int uring_connect(int fd) {
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    int ring = syscall(SYS_io_uring_setup, 4, &params);
    if (ring < 0) return -errno;
    size_t sq_size = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
    size_t cq_size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    char *sq = mmap(NULL, sq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    char *cq = mmap(NULL, cq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    struct io_uring_sqe *sqes = mmap(NULL, params.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
                                     IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || sqes == MAP_FAILED) die("mmap");
    memset(&sqes[0], 0, sizeof sqes[0]);
    sqes[0].opcode = IORING_OP_CONNECT;
    sqes[0].fd = fd;
    sqes[0].addr = (uint64_t)(uintptr_t)&address;
    sqes[0].off = length;
    ((uint32_t *)(sq + params.sq_off.array))[0] = 0;
    __atomic_store_n((uint32_t *)(sq + params.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) die("io_uring_enter");
    int result = ((struct io_uring_cqe *)(cq + params.cq_off.cqes))[0].res;
    munmap(sq, sq_size);
    munmap(cq, cq_size);
    munmap(sqes, params.sq_entries * sizeof *sqes);
    close(ring);
    return result;
}

static void wait_for(int fd) {
    struct pollfd poller = {fd, POLLOUT, 0};
    poll(&poller, 1, 1000);
}

static int execute(void) {
    char *arguments[] = {"/bin/true", "--an-argument", "another", NULL}, *environment[] = {"A=1", NULL};
    pid_t child = vfork();
    if (child == 0) {
        execve(arguments[0], arguments, environment);
        _exit(127);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static int open_file(void) {
    int fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static int once(const char *kind) {
    static int turn;
    if (!strcmp(kind, "exec")) return execute();
    if (!strcmp(kind, "open")) return open_file();
    if (!strcmp(kind, "mixed")) {
        turn = (turn + 1) % 3;
        if (turn == 1) return execute();
        if (turn == 2) return open_file();
    }
    int udp = !strcmp(kind, "udp"), twice = !strcmp(kind, "twice"), wait = twice || !strcmp(kind, "nonblocking");
    int fd = socket(address.ss_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | (wait ? SOCK_NONBLOCK : 0) | SOCK_CLOEXEC, 0);
    struct linger linger = {1, 0};
    int off = 0, result;
    if (fd < 0) die("socket");
    if (address.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    /* A reset instead of TIME_WAIT, so that ports do not run out. */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    if (!strcmp(kind, "uring"))
        result = uring_connect(fd);
    else
        result = connect(fd, (void *)&address, length) < 0 ? -errno : 0;
    if (result == -EINPROGRESS) {
        wait_for(fd);
        if (twice) connect(fd, (void *)&address, length);
    }
    close(fd);
    return result == 0 || result == -EINPROGRESS;
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: traffic KIND COUNT ADDRESS PORT [RATE]\n");
        return 2;
    }
    long count = atol(argv[2]), good = 0, bad = 0;
    double rate = argc > 5 ? atof(argv[5]) : 0;
    parse(argv[3], atoi(argv[4]));
    if (!strcmp(argv[1], "serve")) return serve(count);
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long n = 0; n < count; n++) {
        if (rate > 0) {
            clock_gettime(CLOCK_MONOTONIC, &now);
            double ahead = n / rate - ((now.tv_sec - begin.tv_sec) + (now.tv_nsec - begin.tv_nsec) / 1e9);
            if (ahead > 0.001) usleep(ahead * 1e6);
        }
        if (once(argv[1])) good++;
        else bad++;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%ld %ld %.6f %ld.%09ld\n", good, bad, (now.tv_sec - begin.tv_sec) + (now.tv_nsec - begin.tv_nsec) / 1e9,
           (long)begin.tv_sec, begin.tv_nsec);
    return 0;
}
