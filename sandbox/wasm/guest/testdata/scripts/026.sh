s=hello.tar.gz; echo "${s%.gz} ${s%%.*} ${s#*.} ${s##*.} ${#s}"
