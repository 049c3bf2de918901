/* Loaded into the server that count.py runs under callgrind (LD_PRELOAD).

   Instructions repeat only when nothing depends on time. Once `freeze` was asked for a clock stands still, but for a step
   on each reading: no timer becomes due, and a wait with a time limit is a wait without one. The sleep of the event loop is
   told to the client in a shared page, so that it sends the next request when the server has nothing more to do.

   A thread executes commands that come in a FIFO, a line each, and answers each with a line. `frames` makes every Python
   function run below a C function of the file that the function stands in, so that callgrind knows the file (PEP 523). */
#define _GNU_SOURCE
#define Py_BUILD_CORE
#include <Python.h>
#if PY_VERSION_HEX >> 16 == 0x030b
#include <internal/pycore_frame.h>
#define FRAMES
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

/* The program that starts valgrind loads this library too, without Python. */
#pragma weak PyGILState_Ensure
#pragma weak PyGILState_Release
#pragma weak PyImport_ImportModule
#pragma weak PyInterpreterState_Get
#pragma weak PyObject_CallMethod
#pragma weak PyUnicode_AsUTF8
#pragma weak PyUnicode_Compare
#pragma weak _Py_Dealloc

#define STEP 10 /* nanoseconds from one reading of a frozen clock to the next */
#define SECOND 1000000000L

struct page {
    volatile int asleep; /* the event loop waits for events */
};
static struct page nowhere, *page = &nowhere;
static const char *folder;
static volatile int frozen;
static volatile long readings;
static struct timespec stopped[2]; /* CLOCK_REALTIME and CLOCK_MONOTONIC at the time of `freeze` */

/* ---- the clock ---- */

int clock_gettime(clockid_t which, struct timespec *out)
{
    if (!frozen)
        return syscall(SYS_clock_gettime, which, out);
    *out = stopped[which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE];
    out->tv_nsec += ++readings * STEP;
    out->tv_sec += out->tv_nsec / SECOND;
    out->tv_nsec %= SECOND;
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

/* The newest version of a function of the C library that is hidden by one of these. */
static void *hidden(const char *name)
{
    void *found = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
    return found ? found : dlsym(RTLD_NEXT, name);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (frozen)
        return pthread_cond_wait(condition, mutex);
    if (!real)
        real = hidden("pthread_cond_timedwait");
    return real(condition, mutex, until);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
    static int (*real)(sem_t *, const struct timespec *);
    if (frozen)
        return sem_wait(semaphore);
    if (!real)
        real = hidden("sem_timedwait");
    return real(semaphore, until);
}

int sem_clockwait(sem_t *restrict semaphore, clockid_t which, const struct timespec *restrict until)
{
    static int (*real)(sem_t *, clockid_t, const struct timespec *);
    if (frozen)
        return sem_wait(semaphore);
    if (!real)
        real = hidden("sem_clockwait");
    return real(semaphore, which, until);
}

int epoll_pwait(int file, struct epoll_event *events, int size, int timeout, const sigset_t *mask)
{
    int found = syscall(SYS_epoll_pwait, file, events, size, 0, mask, _NSIG / 8);
    if (found || !timeout)
        return found;
    page->asleep = 1;
    found = syscall(SYS_epoll_pwait, file, events, size, frozen ? -1 : timeout, mask, _NSIG / 8);
    page->asleep = 0;
    return found;
}

int epoll_wait(int file, struct epoll_event *events, int size, int timeout)
{
    return epoll_pwait(file, events, size, timeout, NULL);
}

/* ---- a C function for each file with Python code ---- */

#ifdef FRAMES
typedef PyObject *evaluator(PyThreadState *, struct _PyInterpreterFrame *, int);
static evaluator *evaluate;

#define UNDER(n)                                                                                                        \
    __attribute__((noinline)) PyObject *Zfile_##n(PyThreadState *thread, struct _PyInterpreterFrame *frame, int raise)  \
    {                                                                                                                   \
        PyObject *out = evaluate(thread, frame, raise);                                                                 \
        __asm__ volatile("" ::"i"(0x##n)); /* neither a jump nor the same function as another */                        \
        return out;                                                                                                     \
    }
#define TEN(m, p)                                                                                                       \
    m(p##0) m(p##1) m(p##2) m(p##3) m(p##4) m(p##5) m(p##6) m(p##7) m(p##8) m(p##9) m(p##a) m(p##b) m(p##c) m(p##d)     \
        m(p##e) m(p##f)
#define ALL(m)                                                                                                          \
    TEN(m, 0) TEN(m, 1) TEN(m, 2) TEN(m, 3) TEN(m, 4) TEN(m, 5) TEN(m, 6) TEN(m, 7) TEN(m, 8) TEN(m, 9) TEN(m, a)       \
    TEN(m, b) TEN(m, c) TEN(m, d) TEN(m, e) TEN(m, f)
#define ENTRY(n) Zfile_##n,
#define FIRST(n) UNDER(1##n)
#define SECOND_HALF(n) ENTRY(1##n)
ALL(UNDER)
ALL(FIRST)
static evaluator *const under[] = {ALL(ENTRY) ALL(SECOND_HALF)};
enum { FILES = sizeof(under) / sizeof(*under), SLOTS = 1 << 14 };

static struct {
    PyObject *name;
    evaluator *under;
} slots[SLOTS]; /* by the address of co_filename, which the code objects of a module share */
static FILE *names;
static PyObject *known[FILES];
static int files;

/* The function below which the code of a file runs: its own inside the package, else that of the caller. */
static evaluator *find(PyObject *name)
{
    size_t at = ((size_t)name >> 4) * 0x9e3779b97f4a7c15 >> 50;
    while (slots[at].name && slots[at].name != name)
        at = (at + 1) % SLOTS;
    if (!slots[at].name) {
        const char *text = PyUnicode_AsUTF8(name), *inside = strstr(text, "/pilothouse/");
        int number = 0;
        Py_INCREF(name);
        slots[at].name = name;
        slots[at].under = evaluate;
        if (!inside)
            return evaluate;
        while (number < files && PyUnicode_Compare(known[number], name))
            number++;
        if (number == FILES)
            return evaluate;
        if (number == files) {
            fprintf(names, "%x %s\n", number, inside + strlen("/pilothouse/"));
            fflush(names);
            known[files++] = name;
        }
        slots[at].under = under[number];
    }
    return slots[at].under;
}

static PyObject *enter(PyThreadState *thread, struct _PyInterpreterFrame *frame, int raise)
{
    PyObject *out = find(frame->f_code->co_filename)(thread, frame, raise);
    __asm__ volatile("");
    return out;
}

static int name_frames(void)
{
    char path[4096];
    void (*set)(PyInterpreterState *, evaluator *) = dlsym(RTLD_DEFAULT, "_PyInterpreterState_SetEvalFrameFunc");
    evaluate = dlsym(RTLD_DEFAULT, "_PyEval_EvalFrameDefault");
    snprintf(path, sizeof path, "%s/files", folder);
    if (!set || !evaluate || !(names = fopen(path, "w")))
        return 0;
    PyGILState_STATE held = PyGILState_Ensure();
    set(PyInterpreterState_Get(), enter);
    PyGILState_Release(held);
    return 1;
}
#else
static int name_frames(void)
{
    return 0;
}
#endif

/* ---- commands ---- */

static int execute(char *command)
{
    if (!strcmp(command, "start"))
        CALLGRIND_START_INSTRUMENTATION;
    else if (!strcmp(command, "stop"))
        CALLGRIND_STOP_INSTRUMENTATION;
    else if (!strcmp(command, "freeze")) {
        clock_gettime(CLOCK_REALTIME, &stopped[0]);
        clock_gettime(CLOCK_MONOTONIC, &stopped[1]);
        frozen = 1;
    } else if (!strcmp(command, "thaw"))
        frozen = 0;
    else if (!strcmp(command, "collect")) {
        PyGILState_STATE held = PyGILState_Ensure();
        PyObject *module = PyImport_ImportModule("gc");
        PyObject *found = module ? PyObject_CallMethod(module, "collect", "i", 1) : NULL;
        Py_XDECREF(found);
        Py_XDECREF(module);
        PyGILState_Release(held);
        return found != NULL;
    } else if (!strcmp(command, "frames"))
        return name_frames();
    else if (!strncmp(command, "dump ", 5))
        CALLGRIND_DUMP_STATS_AT(command + 5);
    else
        return 0;
    return 1;
}

static void *serve(void *nothing)
{
    char path[4096], line[256];
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    snprintf(path, sizeof path, "%s/commands", folder);
    FILE *commands = fopen(path, "r");
    snprintf(path, sizeof path, "%s/answers", folder);
    FILE *answers = fopen(path, "w");
    while (commands && answers && fgets(line, sizeof line, commands)) {
        line[strcspn(line, "\n")] = 0;
        fputs(execute(line) ? "done\n" : "failed\n", answers);
        fflush(answers);
    }
    return nothing;
}

__attribute__((constructor)) static void begin(void)
{
    char path[4096];
    pthread_t thread;
    folder = getenv("PILOTHOUSE_COUNT");
    if (!folder || !RUNNING_ON_VALGRIND)
        return;
    snprintf(path, sizeof path, "%s/page", folder);
    int file = open(path, O_RDWR | O_CLOEXEC);
    void *at = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (at != MAP_FAILED)
        page = at;
    close(file);
    pthread_create(&thread, NULL, serve, NULL);
}
