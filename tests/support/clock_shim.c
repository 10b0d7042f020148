/* Preloaded into a process (LD_PRELOAD): moves its wall clock by what CLOCK_OFFSET_FILE holds, 8 bytes, nanoseconds.
 *
 * The file is mapped, so that whoever writes it makes the clock jump while the process runs. Monotonic clocks go on as
 * they are, as they do on a machine whose clock is set. See jumping_clock.py.
 */
#define EXPORT __attribute__((visibility("default")))
#define SECOND 1000000000L

typedef struct { long seconds, part; } moment; /* struct timespec, struct timeval: two longs on 64-bit Linux */

extern void *dlsym(void *, const char *);
extern char *getenv(const char *);
extern int open(const char *, int, ...);
extern int close(int);
extern void *mmap(void *, unsigned long, int, int, int, long);

static const volatile long *offset;
static int (*real_clock_gettime)(int, moment *);

__attribute__((constructor)) static void prepare(void)
{
    const char *path = getenv("CLOCK_OFFSET_FILE");
    real_clock_gettime = (int (*)(int, moment *))dlsym((void *)-1L /* RTLD_NEXT */, "clock_gettime");
    if (!path) return;
    int file = open(path, 02000000 /* O_RDONLY | O_CLOEXEC */);
    if (file < 0) return;
    void *mapped = mmap(0, 8, 1 /* PROT_READ */, 1 /* MAP_SHARED */, file, 0);
    close(file);
    if (mapped != (void *)-1L) offset = mapped;
}

EXPORT int clock_gettime(int clock, moment *now)
{
    if (!real_clock_gettime) prepare(); /* asked by another library's constructor */
    int status = real_clock_gettime(clock, now);
    if (status == 0 && offset && (clock == 0 /* CLOCK_REALTIME */ || clock == 5 /* CLOCK_REALTIME_COARSE */)) {
        long part = now->part + *offset % SECOND;
        now->seconds += *offset / SECOND + (part >= SECOND) - (part < 0);
        now->part = part >= SECOND ? part - SECOND : part < 0 ? part + SECOND : part;
    }
    return status;
}

EXPORT int gettimeofday(moment *now, void *zone)
{
    (void)zone;
    int status = clock_gettime(0, now);
    now->part /= 1000;
    return status;
}

EXPORT long time(long *seconds)
{
    moment now;
    clock_gettime(0, &now);
    if (seconds) *seconds = now.seconds;
    return now.seconds;
}
