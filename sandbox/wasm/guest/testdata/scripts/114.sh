command -v ls >/dev/null && echo have; command -v nosuchx || echo none; type -t cd; type -t echo; f() { :; }; type -t f; which nosuchx; echo $?
