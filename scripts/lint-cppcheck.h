/* lint-cppcheck.h: what cppcheck, which reads no header of the system, must know of some. */
#define _Noreturn __attribute__((noreturn))
#define LUA_VERSION_NUM 504
#define cJSON_ArrayForEach(e, list) for ((e) = (list)->child; (e); (e) = (e)->next)
