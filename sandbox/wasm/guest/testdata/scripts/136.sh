[[ $(uname) ]] && echo un; [[ 10 -gt 9 && ! 1 -gt 2 ]] && echo cmp; [[ "a b" == "a b" ]] && echo eq; x=abc; [[ $x == *b* ]] && echo has; [[ -z ${nope+x} ]] && echo unset
