# Makes a C file of a file: cmake -D FROM=.. -D TO=.. -D NAME=.. -P embed.cmake
# NAME is then an array of its bytes, NAME_len their number, NAME_hash a text that is another one
# when they are.
file(READ ${FROM} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(SHA256 ${FROM} hash)
string(SUBSTRING ${hash} 0 32 hash)
file(WRITE ${TO} "#include <stddef.h>
extern const unsigned char ${NAME}[];
extern const size_t ${NAME}_len;
extern const char ${NAME}_hash[];
const unsigned char ${NAME}[] = {${bytes}};
const size_t ${NAME}_len = sizeof(${NAME});
const char ${NAME}_hash[] = \"${hash}\";
")
