/* Lets a program see a processor with fewer instruction sets than the one it runs on, for measurements.

   Loaded by LD_PRELOAD (as_processor.py compiles and sets it). Linux on x86-64 can let CPUID fault (arch_prctl(2), ARCH_SET_CPUID,
   where the processor and the hypervisor have it: the flag cpuid_fault). The fault's handler asks the processor itself, takes away
   the bits that EDGE_HIDDEN_CPUID names, and goes on behind the instruction. EDGE_CPUINFO is a file that is read in
   place of /proc/cpuinfo. The program may handle and block SIGSEGV as it likes: it does so for all of them but CPUID's.
   Where CPUID cannot be made to fault, the program ends with 2 at once. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ARCH_SET_CPUID = 0x1012, EAX = 0, EBX, ECX, EDX, MOST = 64 };

/* One hidden set of bits: leaf, subleaf (-1: any), register, mask. */
static struct { uint32_t leaf; int32_t subleaf; int reg; uint32_t mask; } hidden[MOST];
static int n_hidden;
static struct sigaction programs_own;

static int real_sigaction(int number, const struct sigaction *action, struct sigaction *old) {
    static int (*real)(int, const struct sigaction *, struct sigaction *);
    if (!real) real = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
    return real(number, action, old);
}

static void pass_on(int number, siginfo_t *info, void *context) {
    if (programs_own.sa_flags & SA_SIGINFO) {
        programs_own.sa_sigaction(number, info, context);
    } else if (programs_own.sa_handler != SIG_DFL && programs_own.sa_handler != SIG_IGN) {
        programs_own.sa_handler(number);
    } else if (info->si_code > 0 || programs_own.sa_handler != SIG_IGN) {
        /* A fault's instruction is tried again, and ends the program by the default; what was sent is sent again. */
        struct sigaction plain = {.sa_handler = SIG_DFL};
        real_sigaction(SIGSEGV, &plain, NULL);
        if (info->si_code <= 0) syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSEGV);
    }
}

static void on_fault(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)registers[REG_RIP];
    /* CPUID's fault comes from the kernel, without an address. */
    if (info->si_code != SI_KERNEL || code[0] != 0x0f || code[1] != 0xa2) {
        pass_on(number, info, context);
        return;
    }
    uint32_t leaf = (uint32_t)registers[REG_RAX], subleaf = (uint32_t)registers[REG_RCX], answer[4];
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
    __asm__ volatile("cpuid"
                     : "=a"(answer[EAX]), "=b"(answer[EBX]), "=c"(answer[ECX]), "=d"(answer[EDX])
                     : "a"(leaf), "c"(subleaf));
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
    for (int i = 0; i < n_hidden; i++)
        if (hidden[i].leaf == leaf && (hidden[i].subleaf < 0 || (uint32_t)hidden[i].subleaf == subleaf))
            answer[hidden[i].reg] &= ~hidden[i].mask;
    registers[REG_RAX] = answer[EAX];
    registers[REG_RBX] = answer[EBX];
    registers[REG_RCX] = answer[ECX];
    registers[REG_RDX] = answer[EDX];
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("EDGE_HIDDEN_CPUID");
    if (!text) return;
    char reg;
    for (int used; n_hidden < MOST && sscanf(text, "%x:%d:%c:%x%n", &hidden[n_hidden].leaf, &hidden[n_hidden].subleaf, &reg,
                                             &hidden[n_hidden].mask, &used) == 4; text += used + (text[used] == ',')) {
        hidden[n_hidden++].reg = reg - 'a';
    }
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    real_sigaction(SIGSEGV, &ours, &programs_own);
    if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) != 0) {
        static const char said[] = "error: this processor's CPUID cannot be made to fault\n";
        (void)!write(2, said, sizeof said - 1);
        _exit(2);
    }
}

/* Who handles faults of its own (Python's faulthandler) gets all but CPUID's. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old) {
    if (!n_hidden) return real_sigaction(number, action, old);
    if (number == SIGSEGV) {
        if (old) *old = programs_own;
        if (action) programs_own = *action;
        return 0;
    }
    struct sigaction unblocked;
    if (action) {
        unblocked = *action;
        sigdelset(&unblocked.sa_mask, SIGSEGV);
    }
    return real_sigaction(number, action ? &unblocked : NULL, old);
}

sighandler_t signal(int number, sighandler_t handler) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
    return sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

#define BLOCKS(name)                                                           \
    int name(int how, const sigset_t *set, sigset_t *old) {                    \
        static int (*real)(int, const sigset_t *, sigset_t *);                 \
        if (!real) real = (int (*)(int, const sigset_t *, sigset_t *))dlsym(RTLD_NEXT, #name); \
        sigset_t unblocked;                                                    \
        if (set) {                                                             \
            unblocked = *set;                                                  \
            if (how != SIG_UNBLOCK) sigdelset(&unblocked, SIGSEGV);            \
        }                                                                      \
        return real(how, set ? &unblocked : NULL, old);                        \
    }
BLOCKS(pthread_sigmask)
BLOCKS(sigprocmask)

static const char *shown(const char *path) {
    const char *instead = getenv("EDGE_CPUINFO");
    return instead && path && strcmp(path, "/proc/cpuinfo") == 0 ? instead : path;
}

#define OPENS(name)                                                            \
    int name(const char *path, int flags, ...) {                               \
        static int (*real)(const char *, int, ...);                            \
        if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        va_list rest;                                                          \
        va_start(rest, flags);                                                 \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                          \
        return real(shown(path), flags, mode);                                 \
    }
OPENS(open)
OPENS(open64)

#define FOPENS(name)                                                           \
    FILE *name(const char *path, const char *mode) {                           \
        static FILE *(*real)(const char *, const char *);                      \
        if (!real) real = (FILE * (*)(const char *, const char *))dlsym(RTLD_NEXT, #name); \
        return real(shown(path), mode);                                        \
    }
FOPENS(fopen)
FOPENS(fopen64)
