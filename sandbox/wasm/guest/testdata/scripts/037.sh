[[ abc == a* ]] && echo glob; [[ abc =~ ^a(.)c$ ]] && echo "${BASH_REMATCH[1]}"; [[ -n "" ]] || echo empty; [[ a < b ]] && echo lt
