printf 'a b\nc\n' | wc; printf 'a b\n' | wc -w; echo -n abc | wc -c; seq 3 > f; wc -l f; wc f f
