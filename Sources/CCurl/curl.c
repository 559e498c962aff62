#define _GNU_SOURCE
#include "CCurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>

/* What is used of the library. */
static struct {
    CURLcode (*global_init)(long);
    curl_version_info_data *(*version_info)(CURLversion);
    CURL *(*easy_init)(void);
    void (*easy_cleanup)(CURL *);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    CURLcode (*easy_send)(CURL *, const void *, size_t, size_t *);
    CURLcode (*easy_recv)(CURL *, void *, size_t, size_t *);
    const char *(*easy_strerror)(CURLcode);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    void (*slist_free_all)(struct curl_slist *);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_add_handle)(CURLM *, CURL *);
    CURLMcode (*multi_remove_handle)(CURLM *, CURL *);
    CURLMcode (*multi_cleanup)(CURLM *);
    CURLMcode (*multi_perform)(CURLM *, int *);
    CURLMsg *(*multi_info_read)(CURLM *, int *);
    CURLMcode (*multi_timeout)(CURLM *, long *);
    CURLMcode (*multi_fdset)(CURLM *, fd_set *, fd_set *, fd_set *, int *);
    void (*easy_reset)(CURL *);
    CURLcode (*easy_pause)(CURL *, int);
} library;

static const struct {
    const char *name;
    void *pointer;
} symbols[] = {
    {"curl_global_init", &library.global_init},
    {"curl_version_info", &library.version_info},
    {"curl_easy_init", &library.easy_init},
    {"curl_easy_cleanup", &library.easy_cleanup},
    {"curl_easy_setopt", &library.easy_setopt},
    {"curl_easy_getinfo", &library.easy_getinfo},
    {"curl_easy_send", &library.easy_send},
    {"curl_easy_recv", &library.easy_recv},
    {"curl_easy_strerror", &library.easy_strerror},
    {"curl_slist_append", &library.slist_append},
    {"curl_slist_free_all", &library.slist_free_all},
    {"curl_multi_init", &library.multi_init},
    {"curl_multi_add_handle", &library.multi_add_handle},
    {"curl_multi_remove_handle", &library.multi_remove_handle},
    {"curl_multi_cleanup", &library.multi_cleanup},
    {"curl_multi_perform", &library.multi_perform},
    {"curl_multi_info_read", &library.multi_info_read},
    {"curl_multi_timeout", &library.multi_timeout},
    {"curl_multi_fdset", &library.multi_fdset},
    {"curl_easy_reset", &library.easy_reset},
    {"curl_easy_pause", &library.easy_pause},
};

static const char *problem;

static void load(void) {
    void *handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        handle = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
    }
    if (!handle) {
        problem = "libcurl.so.4 is not installed";
        return;
    }
    for (size_t index = 0; index < sizeof symbols / sizeof *symbols; index++) {
        void *symbol = dlsym(handle, symbols[index].name);
        if (!symbol) {
            problem = "libcurl.so.4 is too old";
            return;
        }
        *(void **)symbols[index].pointer = symbol;
    }
    if (library.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        problem = "libcurl.so.4 does not start";
    }
}

const char *ccurl_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return problem;
}

int ccurl_features(void) { return library.version_info(CURLVERSION_FIRST)->features; }

CURL *ccurl_easy_init(void) { return library.easy_init(); }

void ccurl_easy_cleanup(CURL *easy) { library.easy_cleanup(easy); }

CURLcode ccurl_set_long(CURL *easy, CURLoption option, long value) {
    return library.easy_setopt(easy, option, value);
}

CURLcode ccurl_set_text(CURL *easy, CURLoption option, const char *value) {
    return library.easy_setopt(easy, option, value);
}

CURLcode ccurl_set_list(CURL *easy, CURLoption option, struct curl_slist *list) {
    return library.easy_setopt(easy, option, list);
}

CURLcode ccurl_set_error_buffer(CURL *easy, char *buffer) {
    return library.easy_setopt(easy, CURLOPT_ERRORBUFFER, buffer);
}

static curl_socket_t open_socket(
    void *data, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)data;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

CURLcode ccurl_close_on_exec(CURL *easy) {
    return library.easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
}

long ccurl_get_long(CURL *easy, CURLINFO info) {
    long value = 0;
    return library.easy_getinfo(easy, info, &value) == CURLE_OK ? value : 0;
}

int ccurl_active_socket(CURL *easy) {
    curl_socket_t descriptor = CURL_SOCKET_BAD;
    CURLcode code = library.easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &descriptor);
    return code == CURLE_OK ? descriptor : -1;
}

CURLcode ccurl_easy_send(CURL *easy, const void *bytes, size_t size, size_t *sent) {
    return library.easy_send(easy, bytes, size, sent);
}

CURLcode ccurl_easy_recv(CURL *easy, void *bytes, size_t size, size_t *received) {
    return library.easy_recv(easy, bytes, size, received);
}

const char *ccurl_easy_strerror(CURLcode code) { return library.easy_strerror(code); }

struct curl_slist *ccurl_slist_append(struct curl_slist *list, const char *text) {
    struct curl_slist *longer = library.slist_append(list, text);
    if (!longer) {
        library.slist_free_all(list);
    }
    return longer;
}

void ccurl_slist_free_all(struct curl_slist *list) { library.slist_free_all(list); }

CURLM *ccurl_multi_init(void) { return library.multi_init(); }

CURLMcode ccurl_multi_add_handle(CURLM *multi, CURL *easy) {
    return library.multi_add_handle(multi, easy);
}

void ccurl_multi_remove_handle(CURLM *multi, CURL *easy) {
    library.multi_remove_handle(multi, easy);
}

void ccurl_multi_cleanup(CURLM *multi) { library.multi_cleanup(multi); }

CURLMcode ccurl_multi_perform(CURLM *multi) {
    int running;
    return library.multi_perform(multi, &running);
}

int ccurl_multi_result(CURLM *multi, CURLcode *result) {
    int left;
    CURLMsg *message;
    while ((message = library.multi_info_read(multi, &left))) {
        if (message->msg == CURLMSG_DONE) {
            *result = message->data.result;
            return 1;
        }
    }
    return 0;
}

long ccurl_multi_timeout(CURLM *multi) {
    long milliseconds = -1;
    return library.multi_timeout(multi, &milliseconds) == CURLM_OK ? milliseconds : -1;
}

size_t ccurl_multi_descriptors(CURLM *multi, struct pollfd *descriptors, size_t limit) {
    fd_set readable, writable, exceptional;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_ZERO(&exceptional);
    int last = -1;
    if (library.multi_fdset(multi, &readable, &writable, &exceptional, &last) != CURLM_OK) {
        return 0;
    }
    size_t count = 0;
    for (int fd = 0; fd <= last && fd < FD_SETSIZE && count < limit; fd++) {
        short events = (short)((FD_ISSET(fd, &readable) ? POLLIN : 0)
            | (FD_ISSET(fd, &writable) ? POLLOUT : 0));
        if (events) {
            descriptors[count++] = (struct pollfd){.fd = fd, .events = events};
        }
    }
    return count;
}

void ccurl_easy_reset(CURL *easy) { library.easy_reset(easy); }

CURLcode ccurl_set_body(CURL *easy, const void *bytes, size_t size) {
    CURLcode code = library.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    return code == CURLE_OK ? library.easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, bytes) : code;
}

static size_t take_body(char *bytes, size_t one, size_t size, void *context) {
    struct ccurl_sink *sink = context;
    size *= one;
    if (size > sink->room - sink->count) {
        sink->is_paused = 1;
        return CURL_WRITEFUNC_PAUSE;
    }
    memcpy(sink->body + sink->count, bytes, size);
    sink->count += size;
    sink->is_in_body = 1;
    return size;
}

static size_t take_head(char *bytes, size_t one, size_t size, void *context) {
    struct ccurl_sink *sink = context;
    size *= one;
    /* Trailers say nothing that matters here. */
    if (sink->is_in_body) {
        return size;
    }
    /* The answer behind an interim one, or behind that to CONNECT. */
    if (size >= 5 && !memcmp(bytes, "HTTP/", 5)) {
        sink->head_count = 0;
    }
    if (size > sizeof sink->head - sink->head_count) {
        return 0;
    }
    memcpy(sink->head + sink->head_count, bytes, size);
    sink->head_count += size;
    return size;
}

CURLcode ccurl_set_sink(CURL *easy, struct ccurl_sink *sink) {
    library.easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    library.easy_setopt(easy, CURLOPT_WRITEDATA, sink);
    library.easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_head);
    return library.easy_setopt(easy, CURLOPT_HEADERDATA, sink);
}

const unsigned char *ccurl_head(const struct ccurl_sink *sink) { return sink->head; }

CURLcode ccurl_continue(CURL *easy) { return library.easy_pause(easy, CURLPAUSE_CONT); }
