// What a static program finds, as JSON.
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static long number(const char *path, const char *key) {
    char line[256];
    long value = -1;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0) value = strtol(line + strlen(key), NULL, 10);
    if (file) fclose(file);
    return value;
}

/// passwd(5) by hand: getpwuid(3) of a static program looks for libraries.
static void user(char name[64], char home[64]) {
    char line[256];
    FILE *file = fopen("/etc/passwd", "r");
    while (file && fgets(line, sizeof line, file)) {
        unsigned uid;
        char found[64], where[64];
        if (sscanf(line, "%63[^:]:%*[^:]:%u:%*u:%*[^:]:%63[^:]", found, &uid, where) == 3 && uid == getuid()) {
            strcpy(name, found);
            strcpy(home, where);
        }
    }
    if (file) fclose(file);
}

int main(void) {
    char exe[256] = "", name[64] = "", home[64] = "", zone[16] = "", input[64] = "";
    if (readlink("/proc/self/exe", exe, sizeof exe - 1) < 0) strcpy(exe, "?");
    user(name, home);
    setenv("TZ", "Asia/Tokyo", 1);
    time_t now = time(NULL);
    strftime(zone, sizeof zone, "%Z", localtime(&now));
    int shm = shm_open("/mine", O_CREAT | O_RDWR, 0600);
    int in = open("/dev/stdin", O_RDONLY);
    if (in < 0 || read(in, input, sizeof input - 1) < 0) strcpy(input, "?");
    printf("{\"exe\":\"%s\",\"user\":\"%s\",\"home\":\"%s\",\"memtotal\":%ld,\"pages\":%ld,\"cpus\":%ld,\"shm\":\"%s\",\"zone\":\"%s\","
           "\"stdin\":\"%s\"}\n",
           exe, name, home, number("/proc/meminfo", "MemTotal:"), number("/proc/meminfo", "MemTotal:") / 4,
           sysconf(_SC_NPROCESSORS_ONLN), shm >= 0 ? "ok" : "no", zone, input);
}
