/* libcurl, opened when it is first wanted: a tool that is given no URL neither loads nor needs it.
   The functions are those of libcurl that have the rest of the name, with types where C has a
   variable list of arguments. ccurl_load comes first. */
#ifndef STREAMUTILS_CCURL_H
#define STREAMUTILS_CCURL_H

#include <curl/curl.h>
#include <poll.h>
#include <stddef.h>

/* NULL once libcurl is there, otherwise why it is not. May be called again, from any thread. */
const char *ccurl_load(void);
/* The CURL_VERSION_* bits of the library that was loaded. */
int ccurl_features(void);

/* Where an answer goes. Offer `room` bytes at `body` before each call that may receive. */
struct ccurl_sink {
    unsigned char *body;
    size_t room;
    /* How many came. */
    size_t count;
    /* What came has no room: ccurl_continue goes on. */
    int is_paused;
    int is_in_body;
    /* The last head as it came; a longer one fails the transfer. */
    size_t head_count;
    unsigned char head[64 << 10];
};

CURL *ccurl_easy_init(void);
/* Forgets all options, but not connections, sessions and cookies. */
void ccurl_easy_reset(CURL *easy);
/* The body of a request, which is copied. */
CURLcode ccurl_set_body(CURL *easy, const void *bytes, size_t size);
/* The sink must live as long as the transfer. */
CURLcode ccurl_set_sink(CURL *easy, struct ccurl_sink *sink);
/* The bytes of the last head. */
const unsigned char *ccurl_head(const struct ccurl_sink *sink);
/* Receives on where the sink had no room. */
CURLcode ccurl_continue(CURL *easy);
void ccurl_easy_cleanup(CURL *easy);
CURLcode ccurl_set_long(CURL *easy, CURLoption option, long value);
/* NULL is a value. The text is copied. */
CURLcode ccurl_set_text(CURL *easy, CURLoption option, const char *value);
/* The list must live as long as the handle. */
CURLcode ccurl_set_list(CURL *easy, CURLoption option, struct curl_slist *list);
/* CURL_ERROR_SIZE bytes, which must live as long as the handle. */
CURLcode ccurl_set_error_buffer(CURL *easy, char *buffer);
/* Sockets are closed when another program is executed. */
CURLcode ccurl_close_on_exec(CURL *easy);
/* 0 where the library does not know. */
long ccurl_get_long(CURL *easy, CURLINFO info);
/* The socket of the connection, or -1. */
int ccurl_active_socket(CURL *easy);
CURLcode ccurl_easy_send(CURL *easy, const void *bytes, size_t size, size_t *sent);
CURLcode ccurl_easy_recv(CURL *easy, void *bytes, size_t size, size_t *received);
const char *ccurl_easy_strerror(CURLcode code);

/* Frees the list and returns NULL when there is no memory. */
struct curl_slist *ccurl_slist_append(struct curl_slist *list, const char *text);
void ccurl_slist_free_all(struct curl_slist *list);

CURLM *ccurl_multi_init(void);
CURLMcode ccurl_multi_add_handle(CURLM *multi, CURL *easy);
void ccurl_multi_remove_handle(CURLM *multi, CURL *easy);
void ccurl_multi_cleanup(CURLM *multi);
CURLMcode ccurl_multi_perform(CURLM *multi);
/* 1 when the only transfer is done, with what it came to. */
int ccurl_multi_result(CURLM *multi, CURLcode *result);
/* Milliseconds until the library wants to be called; -1 when it has no timer. */
long ccurl_multi_timeout(CURLM *multi);
/* What to wait for, at most `limit`; returns how many. */
size_t ccurl_multi_descriptors(CURLM *multi, struct pollfd *descriptors, size_t limit);

#endif
