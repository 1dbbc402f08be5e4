# shellcheck shell=bash
# The two lines of docs/moving-over.md that compare a host with what it was, run as they stand there but for the host's name.
# Sourced by steps that run on the controller, in a scenario's folder.
page() {
    local line
    line=$(grep -F "$1" "$MOLECULE_PROJECT_DIRECTORY/docs/moving-over.md")
    test "$(wc -l <<<"$line")" = 1
    cd "$RUN" || return
    export ANSIBLE_CONFIG="$RUN/ansible.cfg" ANSIBLE_INVENTORY="$RUN/inventory"
    echo "${line/HOST/compute_sriov}"
    eval "${line/HOST/compute_sriov}"
}

note() { page '| tee before'; }

compare() { page '| diff before -'; }
