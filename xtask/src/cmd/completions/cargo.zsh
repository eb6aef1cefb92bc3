# `cargo xtask …` is completed as `xtask …` is; all else of cargo's as before.
if (( $+functions[compdef] )); then
    compdef _xtask xtask
    [[ ${_comps[cargo]} == _xtask_cargo ]] || typeset -g _xtask_cargo_before=${_comps[cargo]}

    _xtask_cargo() {
        if (( CURRENT > 2 )) && [[ $words[2] == xtask ]]; then
            shift words
            (( CURRENT -= 1 ))
            _xtask
        elif [[ -n $_xtask_cargo_before ]]; then
            $_xtask_cargo_before
        else
            _default
        fi
    }

    compdef _xtask_cargo cargo
fi
