// Just enough JSON output: the caller opens and closes, commas come by themselves.
#pragma once

#include <stdbool.h>

void json_open(const char *key, char bracket);  // '{' or '['; key NULL inside an array
void json_close(char bracket);
void json_number(const char *key, long long value);
void json_bool(const char *key, bool value);
void json_null(const char *key);
void json_string(const char *key, const char *value);

/// A call's outcome: the errno's name when it failed, else "ok".
void json_outcome(const char *key, bool ok);

/// The value, or when the call failed (negative) the errno's name.
void json_result(const char *key, long long result);
