# `cargo xtask …` is completed as `xtask …` is; all else of cargo's as before.
if ! complete -p cargo >/dev/null 2>&1 && declare -F _completion_loader >/dev/null; then
    _completion_loader cargo >/dev/null 2>&1 || true
fi
_xtask_cargo_before=$(complete -p cargo 2>/dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
[ "$_xtask_cargo_before" = _xtask_cargo ] && _xtask_cargo_before=

_xtask_cargo() {
    if [ "${COMP_WORDS[1]}" = xtask ] && [ "$COMP_CWORD" -gt 1 ]; then
        COMP_WORDS=("${COMP_WORDS[@]:1}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _xtask xtask "$2" "$3"
    elif [ -n "$_xtask_cargo_before" ]; then
        "$_xtask_cargo_before" "$@"
    fi
}

complete -F _xtask_cargo -o bashdefault -o default cargo
