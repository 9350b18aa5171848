s=foobarfoo; echo "${s/foo/X} ${s//foo/X} ${s/#foo/Y} ${s/%foo/Z}"
