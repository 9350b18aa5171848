seq 3 | nl; seq 2 | nl -ba -w2 -s:; echo abc | rev; echo abcdef | fold -w 2; seq -s, 3; seq 1 2 5; seq -w 8 10
