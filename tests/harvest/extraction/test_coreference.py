"""Names of one entity in one document are joined, and pronouns find their person."""

from harvest.extraction.coreference import DocumentNames, is_acronym_of


def test_a_surname_belongs_to_the_full_name_before_it() -> None:
    names = DocumentNames()
    marie = names.add("Marie Curie", "PERSON", sentence=0)
    assert names.add("Curie", "PERSON", sentence=1) is marie
    assert names.add("Curie", "ORG", sentence=2) is marie  # small recognisers err
    assert names.add("Paris", "GPE", sentence=2) is not marie


def test_a_longer_form_of_a_name_is_the_same_person_and_the_title_is_its_name() -> None:
    names = DocumentNames("Marie Curie")
    full = names.add("Marie Salomea Skłodowska-Curie", "PERSON", sentence=0)
    assert full.name == "Marie Curie"
    assert names.add("Marie Curie", "PERSON", sentence=3) is full


def test_two_people_of_one_surname_stay_two() -> None:
    names = DocumentNames("Pierre Curie")
    pierre = names.add("Pierre Curie", "PERSON", sentence=0)
    marie = names.add("Marie Curie", "PERSON", sentence=1)
    assert marie is not pierre
    assert names.add("Curie", "PERSON", sentence=2) is pierre  # the document is about him


def test_without_a_title_the_surname_goes_to_the_one_named_last() -> None:
    names = DocumentNames()
    names.add("Pierre Curie", "PERSON", sentence=0)
    marie = names.add("Marie Curie", "PERSON", sentence=1)
    assert names.add("Curie", "PERSON", sentence=2) is marie


def test_a_pronoun_prefers_the_subject_and_fits_the_gender() -> None:
    names = DocumentNames()
    curie = names.add("Marie Curie", "PERSON", sentence=0, subject=True)
    becquerel = names.add("Henri Becquerel", "PERSON", sentence=0)
    assert names.person_for("She", sentence=1) is curie
    assert names.person_for("he", sentence=1) is becquerel


def test_a_pronoun_looks_back_two_sentences_and_no_further() -> None:
    names = DocumentNames()
    names.add("Marie Curie", "PERSON", sentence=0, subject=True)
    assert names.person_for("she", sentence=2) is not None
    names = DocumentNames()
    names.add("Marie Curie", "PERSON", sentence=0, subject=True)
    assert names.person_for("she", sentence=3) is None


def test_a_place_is_no_antecedent() -> None:
    names = DocumentNames()
    names.add("Warsaw", "GPE", sentence=0, subject=True)
    assert names.person_for("she", sentence=0) is None


def test_known_mentions_of_earlier_chunks_are_remembered() -> None:
    names = DocumentNames()
    names.add_known("Marie Curie", "Person", "PERSON")
    assert names.add("Curie", "PERSON", sentence=0).name == "Marie Curie"


def test_acronyms() -> None:
    assert is_acronym_of("MIT", "Massachusetts Institute of Technology")
    assert not is_acronym_of("NASA", "Massachusetts Institute of Technology")
    assert not is_acronym_of("It", "Institute of Technology")


def test_rulers_of_one_name_are_told_apart_by_their_number() -> None:
    names = DocumentNames()
    third = names.add("Alexios III Angelos", "PERSON", sentence=0)
    fourth = names.add("Alexios IV Angelos", "PERSON", sentence=1)
    assert third is not fourth
    assert names.add("Alexios IV Angelos", "PERSON", sentence=2) is fourth
