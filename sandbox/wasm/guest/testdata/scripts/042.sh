cat <<< "here string"; read a b <<< "x y z"; echo "$b"
