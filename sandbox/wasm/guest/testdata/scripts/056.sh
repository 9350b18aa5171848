exec 3< <(seq 3); read -u 3 a; read -u 3 b; echo $a $b
