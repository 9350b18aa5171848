test 1 -eq 1; echo $?; [ a = b ]; echo $?; [ -n x ] && [ ! -e nosuch ] && echo both; [ "" ] || echo empty
