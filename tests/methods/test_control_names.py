"""Controls keep their names, their order and their arms: the seeds of their fits are hashed from them.

The values were computed by the version that added the control; of most, the first one, in which contrastive and SAE
controls were classes of their own.
"""

from __future__ import annotations

import pytest

from elicit.experiment.plan import plan
from elicit.files import seed_of

ARMS = {
    "contrastive": {
        "placebo labels_permuted": "a988f0d2fbac46f2",
        "placebo random_direction": "cf4194977574c238",
        "rival key_pair": "f8455290287fd6e8",
    },
    "sae_steering": {
        "placebo live_feature": "296a1263dbf465d1",
        "placebo random_direction": "9238e0bc2f679af4",
        "placebo random_model": "cb17c66c3cdf2f22",
        "placebo covariance_direction": "88b6b177fca82837",
        "placebo shuffled_decoder": "b676510a608e66e5",
        "placebo activity_matched": "ec8b5ed53bbd12bf",
        "placebo frozen_decoder": "5028e2fe794d4019",
        "rival difference_of_means": "9bd20caefd654f30",
        "rival negative_dose": "cdac8e3b51300ff6",
        "rival reconstruction": "7361b1d5d527adc6",
        "rival labels_permuted": "663373502ffd700b",
    },
    "rl_steering": {
        "placebo random_reward": "6c3c0c1dd1e8a146",
        "placebo random_directions": "fac8e9adce407bb6",
        "rival format_reward": "3497ca7a688fcf5e",
        "rival wrong_reward": "a5b5cd906d247460",
        "rival majority_reward": "ffeb57203e6e8d4e",
        "rival sign_flipped": "2b341e12b338d334",
        "rival last_layer": "8f441a76743909cc",
        "rival certainty_reward": "35581f5f581418cc",
        "rival entropy_reward": "9f1696fcf85a0d6a",
        "rival log_likelihood_reward": "734c814260afa659",
        "rival self_verification_reward": "bdbd986ca5bfd444",
    },
    "rlvr": {
        "placebo random_reward": "881072640da8ef20",
        "rival format_reward": "aa412628d5762f14",
        "rival wrong_reward": "ab6f9975cd5eb808",
        "rival majority_reward": "297f18da928327a2",
        "rival certainty_reward": "f4b40ea3507f71f2",
        "rival entropy_reward": "6bf3465bb1d79bce",
        "rival log_likelihood_reward": "ae09ca54024fe6ae",
        "rival self_verification_reward": "5997a3556779ea9e",
    },
    "star": {
        "placebo kept_at_random": "da52cad4b1109e3f",
        "rival right_with_wrong_steps": "247cb085868c6a5f",
        "rival right_and_valid": "9e6512c3fd2cc645",
    },
    "critique_ft": {
        "placebo shuffled_critiques": "fd2eabab80da9781",
        "placebo filler": "e4e2e776eb683ee3",
        "rival flipped_verdicts": "5d05d9421d8dd502",
        "rival sft_right": "b2e8046354956fd3",
        "rival sft_wrong": "02915e06bae9c353",
        "rival without_response": "1006d2526dd1f469",
        "rival loss_on_prompt": "d565ba96795a8b42",
        "rival numbers_changed": "d2a313dac843c716",
        "rival keywords_removed": "3c748955bb34983c",
        "rival wrong_answer": "d2a5f3a2c3039461",
        "rival steps_shuffled": "958fec53ccba962f",
        "rival steps_deleted": "c65f2c3416daf9d9",
        "rival steps_inserted": "ae2a7dc294fcb1b6",
        "rival tail_cut": "e009f90a465c81b4",
        "rival span_cut": "3967b7716150aac2",
    },
    "contrastive_conditional": {
        "placebo labels_permuted": "4a76887f95a1f537",
        "placebo random_direction": "ec058ec920cb3be8",
        "placebo random_condition": "eb7d048237ca6dc2",
        "rival key_pair": "8f497595aaa5e257",
    },
    "sae_prompt_pair": {
        "placebo live_feature": "60e10cdeda291c6e",
        "placebo random_direction": "f2f933ae4cc630d1",
        "placebo random_model": "1e2edcffde28df0c",
        "placebo covariance_direction": "3984605fb18b0e92",
        "placebo shuffled_decoder": "0452394a8d490d49",
        "placebo activity_matched": "ab9feb03c984b61e",
        "placebo frozen_decoder": "f381f60c1ff044ad",
        "rival difference_of_means": "cdfd7e8f9bfe499e",
        "rival negative_dose": "8539f5508aa653b5",
        "rival reconstruction": "95f510a1cd4bc0b3",
        "rival labels_permuted": "63d1e905f9ad6ead",
    },
    "kv_steering": {
        "placebo labels_permuted": "59d6e7bf3622a8ca",
        "placebo random_direction": "32f3e415d7f0866e",
        "rival values_only": "3547b71c13dbb312",
        "rival right_minus_wrong": "aa89b299dcc97141",
    },
    "critique_distil": {
        "placebo shuffled_critiques": "640f5724b4cdbf73",
        "placebo random_reward": "2fd620fb37ed7ccd",
        "rival flipped_sign": "7d6ec9b576cbe29a",
        "rival verdict_gain": "f04defe05bd22571",
        "rival correct_reward": "4138c4bee6551080",
    },
    "rlvr_one_item": {
        "placebo random_item": "9201da5dcfd82315",
        "placebo random_reward": "61a89b68309884ac",
        "rival format_reward": "d83ec2a0a157419f",
        "rival wrong_reward": "070052a74c01dd28",
        "rival majority_reward": "473d3212b28a337c",
        "rival certainty_reward": "ba5c7d26113b2a54",
        "rival entropy_reward": "9a87d71eb7b5cc9c",
        "rival log_likelihood_reward": "f1e7887f0f02c727",
        "rival self_verification_reward": "5a84e13192a51d0f",
    },
    "star_power": {
        "placebo weights_permuted": "92c35eb1433c212a",
        "rival sampled": "0405ff83bae86fac",
        "rival right": "4e9528f2b84fc07a",
    },
    "cot_decoding": {
        "placebo random_pick": "32886bad39627b20",
        "placebo entropy_matched": "f6853b16aee8901e",
        "rival random_first_tokens": "bbdbf8b6f00ef9c4",
        "rival greedy": "06bdd7ff68b9093d",
        "rival low_temperature": "64501718e28710fa",
        "rival strict_extraction": "ef56e17771faa1f7",
    },
}
"""preset -> role and name of each control, in the order in which they are run -> its arm"""
OF_PRESET = {"cot_decoding": "decoding"}


@pytest.mark.parametrize("name", ARMS)
def test_the_controls_of_a_preset_keep_their_names_order_and_arms(name: str) -> None:
    preset = OF_PRESET.get(name, name)
    line = [f"method={preset}", "model=organism", "task=chain", "tracker=none", "placebos=all", "rivals=all", "seed=3"]
    (comparison,) = plan([line])
    arms = {f"{job.role} {job.twin}": job.arm for job in comparison.jobs if job.twin}
    assert list(arms.items()) == list(ARMS[name].items())
    assert {job.name for job in comparison.jobs if job.twin} == {f"{name}/{key.split()[1]}" for key in ARMS[name]}


def test_the_seed_of_a_control_s_fit_is_yesterdays() -> None:
    (comparison,) = plan([["method=contrastive", "model=organism", "task=chain", "placebos=one", "seed=3"]])
    placebo = comparison.jobs[1]
    assert seed_of("fit", placebo.settings.seed, placebo.arm) == 2707187516614747454
