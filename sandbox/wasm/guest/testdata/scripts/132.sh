split -l 2 <(seq 5) p; ls p*; cat paa; truncate -s 3 q; wc -c < q; join <(echo 1 a) <(echo 1 b); expand <(printf 'a\tb\n'); shuf -i 1-1
