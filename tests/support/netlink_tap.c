/* LD_PRELOAD: keeps the first rule that a program sends to the kernel's audit subsystem in the file NETLINK_TAP, and ends
 * the program; the kernel never sees it. The rule is a struct audit_rule_data. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADD_RULE = 1011, DEL_RULE = 1012 };

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    if (!real) real = dlsym(RTLD_NEXT, "sendto");
    const struct nlmsghdr *header = data;
    if (size < sizeof *header || (header->nlmsg_type != ADD_RULE && header->nlmsg_type != DEL_RULE))
        return real(fd, data, size, flags, to, length);
    int copy = open(getenv("NETLINK_TAP"), O_WRONLY | O_CREAT, 0600);
    size_t body = header->nlmsg_len - NLMSG_HDRLEN;
    if (copy < 0 || write(copy, NLMSG_DATA(header), body) != (ssize_t)body) abort();
    _exit(0);
}
