# Makes a C file of a file: cmake -D FROM=.. -D TO=.. -D NAME=.. -P embed.cmake
# NAME is then an array of its bytes, NAME_len their number.
file(READ ${FROM} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${TO} "#include <stddef.h>
extern const unsigned char ${NAME}[];
extern const size_t ${NAME}_len;
const unsigned char ${NAME}[] = {${bytes}};
const size_t ${NAME}_len = sizeof(${NAME});
")
