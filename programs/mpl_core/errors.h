/* Error codes of MPL-Core that the stand-in can give (the program's error list; custom codes, not Anchor's). */
#ifndef PROGRAMS_MPL_CORE_ERRORS_H
#define PROGRAMS_MPL_CORE_ERRORS_H

enum {
    CORE_INVALID_SYSTEM_PROGRAM = 0,
    CORE_DESERIALIZATION_ERROR = 1,
    CORE_PLUGINS_NOT_INITIALIZED = 3,
    CORE_PLUGIN_NOT_FOUND = 4,
    CORE_NUMERICAL_OVERFLOW = 5,
    CORE_INVALID_PLUGIN = 8,
    CORE_INVALID_AUTHORITY = 9,
    CORE_PLUGIN_ALREADY_EXISTS = 15,
    CORE_NOT_AVAILABLE = 23,
    CORE_INVALID_PLUGIN_SETTING = 28,
    CORE_BLOCKED_BY_BUBBLEGUM_V2 = 50,
};

/* Custom error 0 has a number of its own in the runtime. */
#define CORE_ERROR(code) ((code) == 0 ? ERR_CUSTOM_ZERO : (Result)(code))

#endif
