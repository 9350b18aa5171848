for f in a b; do echo $f > $f.t; done; for f in *.t; do cat "$f"; done; ls -1 | wc -l; rm *.t; ls -A | wc -l
