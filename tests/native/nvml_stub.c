/* A libnvidia-ml.so whose answers stand in a file, so that a test changes them while it runs.
 *
 * NVML_STUB_SCRIPT names the file; a call sees what it holds then. One answer a line:
 *
 *     nvmlDeviceGetCount_v2 2                     two GPUs
 *     nvmlDeviceGetPowerUsage 150000              the same on all
 *     0:nvmlDeviceGetClockInfo/1 1410             GPU 0, first argument 1
 *     1:* error 15                                every call on GPU 1 gives NVML_ERROR_GPU_IS_LOST
 *     0.2:nvmlDeviceGetMemoryInfo 1000 4000       MIG instance 2 of GPU 0: used, total
 *     0:nvmlDeviceGetPcieThroughput hang          does not return as long as the line is there
 *
 *     nvmlDeviceGetPowerUsage 150000|180000       another one each second, again and again
 *
 * The most specific line counts. Without a line a call is not supported, as on an old GPU.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10 };
enum { MAX_VALUES = 2, MAX_EVENTS = 16, HANG_POLL_MICROSECONDS = 10000 };

typedef unsigned long long u64;
typedef struct { int gpu, mig; } Device;
typedef struct { u64 total, free, used; } Memory;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned version, sensor; int celsius; } Temperature;
typedef struct { Device *device; u64 type, data; unsigned gpu_instance, compute_instance; } Event;
typedef struct { Device *device; unsigned seen; } EventSet;
typedef union { double real; unsigned small; u64 big; } Value;
typedef struct {
    unsigned field, scope;
    long long timestamp, latency;
    unsigned type;
    int result;
    Value value;
} Field;
typedef struct { unsigned id; int result; double value; const char *names[3]; } GpmMetric;
typedef struct { unsigned version, count; void *before, *after; GpmMetric metrics[]; } GpmRequest;
typedef struct { unsigned version, supported; } GpmSupport;
typedef struct { Device *device; } GpmSample;
typedef struct {
    char legacy_address[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char address[32];
} Pci;
typedef struct { unsigned pid; u64 memory; unsigned gpu_instance, compute_instance; } Process;

static const Device NO_DEVICE = {-1, -1};

enum { MAX_LINES = 256, LINE = 256 };
static struct { char key[LINE], *answer; } lines[MAX_LINES];
static int line_count;
static struct stat loaded;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The script, read again only when it is another file: a real driver parses no text. */
static void load(void) {
    struct stat now;
    const char *path = getenv("NVML_STUB_SCRIPT");
    if (!path || stat(path, &now) != 0) {
        line_count = 0;
        loaded.st_ino = 0;
        return;
    }
    if (now.st_ino == loaded.st_ino && now.st_mtim.tv_nsec == loaded.st_mtim.tv_nsec
        && now.st_mtim.tv_sec == loaded.st_mtim.tv_sec)
        return;
    FILE *file = fopen(path, "r");
    line_count = 0;
    while (file && line_count < MAX_LINES && fgets(lines[line_count].key, LINE, file)) {
        char *space = strchr(lines[line_count].key, ' ');
        if (!space) continue;
        *space = '\0';
        lines[line_count++].answer = space + 1;
    }
    if (file) fclose(file);
    loaded = now;
}

static int read_line(const char *key, char *answer, size_t size) {
    for (int i = 0; i < line_count; i++) {
        if (strcmp(lines[i].key, key) != 0) continue;
        snprintf(answer, size, "%s", lines[i].answer);
        return 1;
    }
    return 0;
}

/* Looks for GPU:CALL/ARGUMENT, GPU:CALL, GPU:*, then the same without the GPU. */
static int search(const Device *device, const char *call, int argument, char *answer, size_t size) {
    char gpu[32] = "", key[160];
    if (device->gpu >= 0 && device->mig >= 0) snprintf(gpu, sizeof gpu, "%d.%d:", device->gpu, device->mig);
    else if (device->gpu >= 0) snprintf(gpu, sizeof gpu, "%d:", device->gpu);
    for (const char *prefix = gpu;; prefix = "") {
        snprintf(key, sizeof key, "%s%s/%d", prefix, call, argument);
        if (argument >= 0 && read_line(key, answer, size)) return 1;
        snprintf(key, sizeof key, "%s%s", prefix, call);
        if (read_line(key, answer, size)) return 1;
        snprintf(key, sizeof key, "%s*", prefix);
        if (*prefix && read_line(key, answer, size)) return 1;
        if (!*prefix) return 0;
    }
}

static int find(const Device *device, const char *call, int argument, char *answer, size_t size) {
    pthread_mutex_lock(&lock);
    load();
    int found = search(device, call, argument, answer, size);
    pthread_mutex_unlock(&lock);
    return found;
}

/* The answer whose turn it is in this second. */
static char *current(char *answers) {
    int count = 1;
    for (char *bar = answers; (bar = strchr(bar, '|')); bar++) count++;
    for (int turn = (int)(time(NULL) % count); turn > 0; turn--) answers = strchr(answers, '|') + 1;
    return answers;
}

static int ask(const Device *device, const char *call, int argument, double values[MAX_VALUES]) {
    char answers[128], *answer;
    int code;
    while (1) {
        if (!find(device, call, argument, answers, sizeof answers)) return NOT_SUPPORTED;
        answer = current(answers);
        if (strncmp(answer, "hang", 4) != 0) break;
        usleep(HANG_POLL_MICROSECONDS);
    }
    if (sscanf(answer, "error %d", &code) == 1) return code;
    values[0] = values[1] = 0;
    sscanf(answer, "%lf %lf", &values[0], &values[1]);
    return SUCCESS;
}

#define SCALAR(call, type)                                        \
    int call(Device *device, type *value) {                       \
        double values[MAX_VALUES];                                \
        int code = ask(device, #call, -1, values);                \
        if (code == SUCCESS) *value = (type)values[0];            \
        return code;                                              \
    }

SCALAR(nvmlDeviceGetPowerUsage, unsigned)
SCALAR(nvmlDeviceGetEnforcedPowerLimit, unsigned)
SCALAR(nvmlDeviceGetTotalEnergyConsumption, u64)
SCALAR(nvmlDeviceGetCurrentClocksEventReasons, u64)
SCALAR(nvmlDeviceGetCurrentClocksThrottleReasons, u64)
SCALAR(nvmlDeviceGetMaxMigDeviceCount, unsigned)
SCALAR(nvmlDeviceGetGpuInstanceId, unsigned)

int nvmlInitWithFlags(unsigned flags) {
    double values[MAX_VALUES];
    (void)flags;
    int code = ask(&NO_DEVICE, "nvmlInitWithFlags", -1, values);
    return code == NOT_SUPPORTED ? SUCCESS : code;
}

/* torch looks for GPUs by this name. */
int nvmlInit(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) { return SUCCESS; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    double values[MAX_VALUES];
    int code = ask(&NO_DEVICE, "nvmlDeviceGetCount_v2", -1, values);
    if (code == SUCCESS) *count = (unsigned)values[0];
    return code;
}

static Device *new_device(int gpu, int mig) {
    Device *device = malloc(sizeof *device);
    device->gpu = gpu;
    device->mig = mig;
    return device;
}

/* An error of the handle itself has a line of its own: it must not come from `GPU:*`. */
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device) {
    double values[MAX_VALUES];
    int code = ask(&NO_DEVICE, "nvmlDeviceGetHandleByIndex_v2", (int)index, values);
    if (code != SUCCESS && code != NOT_SUPPORTED) return code;
    *device = new_device((int)index, -1);
    return SUCCESS;
}

static int text(const Device *device, const char *call, char *value, size_t size) {
    char answer[128];
    int code;
    if (!find(device, call, -1, answer, sizeof answer)) return NOT_SUPPORTED;
    if (sscanf(answer, "error %d", &code) == 1) return code;
    answer[strcspn(answer, "\n")] = '\0';
    snprintf(value, size, "%s", answer);
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *version, unsigned size) {
    return text(&NO_DEVICE, "nvmlSystemGetDriverVersion", version, size);
}

int nvmlDeviceGetUUID(Device *device, char *uuid, unsigned size) {
    return text(device, "nvmlDeviceGetUUID", uuid, size);
}

int nvmlDeviceGetName(Device *device, char *name, unsigned size) {
    return text(device, "nvmlDeviceGetName", name, size);
}

int nvmlDeviceGetPciInfo_v3(Device *device, Pci *pci) {
    return text(device, "nvmlDeviceGetPciInfo_v3", pci->address, sizeof pci->address);
}

/* As many as the answer says, of which nothing else is known. */
int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned *count, Process *processes) {
    double values[MAX_VALUES];
    unsigned room = *count;
    int code = ask(device, "nvmlDeviceGetComputeRunningProcesses_v3", -1, values);
    if (code != SUCCESS) return code;
    *count = (unsigned)values[0];
    if (*count > room) return INSUFFICIENT_SIZE;
    memset(processes, 0, *count * sizeof *processes);
    return SUCCESS;
}

int nvmlDeviceGetMigMode(Device *device, unsigned *current, unsigned *pending) {
    double values[MAX_VALUES];
    int code = ask(device, "nvmlDeviceGetMigMode", -1, values);
    if (code == SUCCESS) *current = *pending = (unsigned)values[0];
    return code;
}

int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned index, Device **mig) {
    double values[MAX_VALUES];
    int code = ask(device, "nvmlDeviceGetMigDeviceHandleByIndex", (int)index, values);
    if (code != SUCCESS) return code == NOT_SUPPORTED ? NOT_FOUND : code;
    *mig = new_device(device->gpu, (int)index);
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(Device *device, Memory *memory) {
    double values[MAX_VALUES];
    int code = ask(device, "nvmlDeviceGetMemoryInfo", -1, values);
    if (code != SUCCESS) return code;
    memory->used = (u64)values[0];
    memory->total = (u64)values[1];
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(Device *device, Utilization *utilization) {
    double values[MAX_VALUES];
    int code = ask(device, "nvmlDeviceGetUtilizationRates", -1, values);
    if (code != SUCCESS) return code;
    utilization->gpu = (unsigned)values[0];
    utilization->memory = (unsigned)values[1];
    return SUCCESS;
}

int nvmlDeviceGetTemperatureV(Device *device, Temperature *temperature) {
    double values[MAX_VALUES];
    int code = ask(device, "nvmlDeviceGetTemperatureV", (int)temperature->sensor, values);
    if (code == SUCCESS) temperature->celsius = (int)values[0];
    return code;
}

static int with_argument(Device *device, const char *call, int argument, unsigned *value) {
    double values[MAX_VALUES];
    int code = ask(device, call, argument, values);
    if (code == SUCCESS) *value = (unsigned)values[0];
    return code;
}

int nvmlDeviceGetTemperature(Device *device, int sensor, unsigned *celsius) {
    return with_argument(device, "nvmlDeviceGetTemperature", sensor, celsius);
}

int nvmlDeviceGetClockInfo(Device *device, int type, unsigned *megahertz) {
    return with_argument(device, "nvmlDeviceGetClockInfo", type, megahertz);
}

int nvmlDeviceGetPcieThroughput(Device *device, int counter, unsigned *kilobytes) {
    return with_argument(device, "nvmlDeviceGetPcieThroughput", counter, kilobytes);
}

int nvmlDeviceGetTotalEccErrors(Device *device, int type, int counter, u64 *count) {
    double values[MAX_VALUES];
    (void)counter;
    int code = ask(device, "nvmlDeviceGetTotalEccErrors", type, values);
    if (code == SUCCESS) *count = (u64)values[0];
    return code;
}

int nvmlDeviceGetFieldValues(Device *device, int count, Field *fields) {
    double values[MAX_VALUES];
    for (int i = 0; i < count; i++) {
        fields[i].result = ask(device, "nvmlDeviceGetFieldValues", (int)fields[i].field, values);
        fields[i].type = 3; /* NVML_VALUE_TYPE_UNSIGNED_LONG_LONG */
        if (fields[i].result == SUCCESS) fields[i].value.big = (u64)values[0];
    }
    return SUCCESS;
}

int nvmlEventSetCreate(EventSet **set) {
    *set = calloc(1, sizeof **set);
    return SUCCESS;
}

int nvmlDeviceRegisterEvents(Device *device, u64 types, EventSet *set) {
    double values[MAX_VALUES];
    (void)types;
    int code = ask(device, "nvmlDeviceRegisterEvents", -1, values);
    if (code == SUCCESS) set->device = device;
    return code;
}

/* `0:xid/N CODE` is the N-th Xid of GPU 0, from 0. */
int nvmlEventSetWait_v2(EventSet *set, Event *event, unsigned milliseconds) {
    double values[MAX_VALUES];
    (void)milliseconds;
    if (set->device == NULL || set->seen >= MAX_EVENTS) return TIMEOUT;
    int code = ask(set->device, "xid", (int)set->seen, values);
    if (code != SUCCESS) return code == NOT_SUPPORTED ? TIMEOUT : code;
    set->seen++;
    event->device = set->device;
    event->type = 8; /* nvmlEventTypeXidCriticalError */
    event->data = (u64)values[0];
    return SUCCESS;
}

int nvmlGpmQueryDeviceSupport(Device *device, GpmSupport *support) {
    double values[MAX_VALUES];
    int code = ask(device, "nvmlGpmQueryDeviceSupport", -1, values);
    if (code == SUCCESS) support->supported = (unsigned)values[0];
    return code;
}

int nvmlGpmSampleAlloc(GpmSample **sample) {
    *sample = calloc(1, sizeof **sample);
    return SUCCESS;
}

int nvmlGpmSampleFree(GpmSample *sample) {
    free(sample);
    return SUCCESS;
}

int nvmlGpmSampleGet(Device *device, GpmSample *sample) {
    sample->device = device;
    return SUCCESS;
}

/* The instance is asked for by its id; scripts give instance N of the list the id N. */
int nvmlGpmMigSampleGet(Device *device, unsigned instance, GpmSample *sample) {
    sample->device = new_device(device->gpu, (int)instance);
    return SUCCESS;
}

int nvmlGpmMetricsGet(GpmRequest *request) {
    double values[MAX_VALUES];
    GpmSample *sample = request->after;
    for (unsigned i = 0; i < request->count; i++) {
        GpmMetric *metric = &request->metrics[i];
        metric->result = ask(sample->device, "nvmlGpmMetricsGet", (int)metric->id, values);
        metric->value = values[0];
    }
    return SUCCESS;
}
